namespace Gradus.Training.Text.Models;

/// <summary>The merging of one piece: its symbols as a linked list, the mergeable pairs in a heap by (rank, place).</summary>
internal static class BpeWord
{
    /// <summary>Merges <paramref name="symbols"/> (used up) as far as the rules go and adds what is left to <paramref name="ids"/>.</summary>
    public static void Merge(List<int> symbols, Dictionary<long, (int Rank, int Merged)> merges, List<int> ids)
    {
        var count = symbols.Count;
        int[] next = new int[count], previous = new int[count];
        var queue = new PriorityQueue<(int At, int Left, int Right, int Merged), long>(count);
        for (var i = 0; i < count; i++)
        {
            previous[i] = i - 1;
            next[i] = i + 1 < count ? i + 1 : -1;
            if (i > 0) Offer(i - 1);
        }

        while (queue.TryDequeue(out var pair, out _))
        {
            var (at, left, right, merged) = pair;
            var other = next[at];
            if (symbols[at] != left || other < 0 || symbols[other] != right) continue; // one of the two went into another merge since
            symbols[at] = merged;
            symbols[other] = -1;
            next[at] = next[other];
            if (next[at] >= 0) previous[next[at]] = at;
            if (previous[at] >= 0) Offer(previous[at]);
            if (next[at] >= 0) Offer(at);
        }

        for (var i = 0; i >= 0 && i < count; i = next[i]) ids.Add(symbols[i]);

        void Offer(int at)
        {
            int left = symbols[at], right = symbols[next[at]];
            if (merges.TryGetValue(BpeMerges.Pair(left, right), out var merge)) queue.Enqueue((at, left, right, merge.Merged), ((long)merge.Rank << 32) | (uint)at);
        }
    }
}
