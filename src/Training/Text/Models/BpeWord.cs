using System.Buffers;

namespace Gradus.Training.Text.Models;

/// <summary>The merging of one piece: the pair of lowest rank, of several the leftmost, becomes one symbol, until no pair has a rule.</summary>
internal static class BpeWord
{
    /// <summary>Up to here looking at every rank is faster than any order among them.</summary>
    private const int Short = 32;

    /// <summary>Merges <paramref name="symbols"/> (used up) as far as the rules go and adds what is left to <paramref name="ids"/>.</summary>
    public static void Merge(Span<int> symbols, BpeMerges merges, List<int> ids)
    {
        if (symbols.Length <= Short) MergeShort(symbols, merges, ids);
        else MergeLong(symbols, merges, ids);
    }

    private static void MergeShort(Span<int> symbols, BpeMerges merges, List<int> ids)
    {
        Span<int> ranks = stackalloc int[Short]; // of the pair that begins at a symbol
        ranks = ranks[..symbols.Length];
        for (var i = 0; i < symbols.Length; i++) ranks[i] = Rank(symbols, i, merges);
        while (!symbols.IsEmpty)
        {
            var (lowest, at) = (ranks[0], 0);
            for (var i = 1; i < ranks.Length; i++)
                if (ranks[i] < lowest) (lowest, at) = (ranks[i], i);
            if (lowest == int.MaxValue) break;
            symbols[at] = merges.Merged(lowest);
            symbols[(at + 2)..].CopyTo(symbols[(at + 1)..]);
            ranks[(at + 2)..].CopyTo(ranks[(at + 1)..]);
            symbols = symbols[..^1];
            ranks = ranks[..^1];
            ranks[at] = Rank(symbols, at, merges);
            if (at > 0) ranks[at - 1] = Rank(symbols, at - 1, merges);
        }

        ids.AddRange(symbols);

        static int Rank(ReadOnlySpan<int> symbols, int at, BpeMerges merges) => at + 1 < symbols.Length ? merges.Rank(symbols[at], symbols[at + 1]) : int.MaxValue;
    }

    // The symbols as a linked list, their pairs in a heap by (rank, place): n symbols cost O(n log n). A pair that changed since it was put into the heap is
    // known by its rank.
    private static void MergeLong(Span<int> symbols, BpeMerges merges, List<int> ids)
    {
        var count = symbols.Length;
        var rented = ArrayPool<int>.Shared.Rent(checked(count * 3));
        var heap = ArrayPool<ulong>.Shared.Rent(checked(count * 2)); // a merge takes one entry out and puts at most two in
        Span<int> next = rented.AsSpan(0, count), previous = rented.AsSpan(count, count), ranks = rented.AsSpan(count * 2, count);
        var waiting = 0;
        for (var i = 0; i < count; i++)
        {
            previous[i] = i - 1;
            next[i] = i + 1;
            ranks[i] = i + 1 < count ? merges.Rank(symbols[i], symbols[i + 1]) : int.MaxValue;
            if (ranks[i] != int.MaxValue) heap[waiting++] = Entry(ranks[i], i);
        }

        for (var i = (waiting / 2) - 1; i >= 0; i--) Sink(heap, i, waiting, heap[i]);
        while (waiting > 0)
        {
            var (rank, at) = ((int)(heap[0] >> 32), (int)(uint)heap[0]);
            var valid = ranks[at] == rank;
            if (valid)
            {
                var other = next[at];
                symbols[at] = merges.Merged(rank);
                ranks[other] = int.MaxValue;
                next[at] = next[other];
                if (next[at] < count) previous[next[at]] = at;
                ranks[at] = next[at] < count ? merges.Rank(symbols[at], symbols[next[at]]) : int.MaxValue;
            }

            // The pair that begins here now takes the place of the one that did.
            if (valid && ranks[at] != int.MaxValue) Sink(heap, 0, waiting, Entry(ranks[at], at));
            else if (--waiting > 0) Sink(heap, 0, waiting, heap[waiting]);
            if (!valid || previous[at] is not (>= 0 and var before)) continue;
            ranks[before] = merges.Rank(symbols[before], symbols[at]);
            if (ranks[before] != int.MaxValue) Rise(heap, waiting++, Entry(ranks[before], before));
        }

        for (var i = 0; i < count; i = next[i]) ids.Add(symbols[i]);
        ArrayPool<int>.Shared.Return(rented);
        ArrayPool<ulong>.Shared.Return(heap);
    }

    private static ulong Entry(int rank, int at) => ((ulong)rank << 32) | (uint)at;

    private static void Sink(ulong[] heap, int at, int count, ulong entry)
    {
        for (int child; (child = (2 * at) + 1) < count; at = child)
        {
            if (child + 1 < count && heap[child + 1] < heap[child]) child++;
            if (heap[child] >= entry) break;
            heap[at] = heap[child];
        }

        heap[at] = entry;
    }

    private static void Rise(ulong[] heap, int at, ulong entry)
    {
        for (int parent; at > 0 && heap[parent = (at - 1) / 2] > entry; at = parent) heap[at] = heap[parent];
        heap[at] = entry;
    }
}
