using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// New tokens on their way into a <see cref="KvCache"/>, through all layers of one forward pass. The slots' lengths grow when the last layer is done
/// (<see cref="Commit"/>), so a pass that fails leaves the cache as it was. Run it without gradient; its tensors belong to the caller's dispose scope.
/// </summary>
// Shapes: B lines (one a slot), T new tokens of the longest line, S tokens seen by the longest line, K heads.
public sealed class KvCacheAppend : IKeyValueStore
{
    private readonly KvCache cache;
    private readonly int[] slots;
    private readonly int[] counts;
    private readonly bool neighbours;
    private readonly Tensor? slotIndex_B;
    private readonly Tensor? real;
    private readonly Dictionary<int, Tensor> rowsByHeads = [];

    internal KvCacheAppend(KvCache cache, int[] slots, int[] counts)
    {
        (this.cache, this.slots, this.counts) = (cache, slots, counts);
        NewTokens = counts.Max();
        var starts = slots.Select(cache.Length).ToArray();
        Length = starts.Zip(counts, (start, count) => start + count).Max();
        neighbours = slots.Select((slot, line) => slot - line).Distinct().Count() == 1;
        if (!neighbours) slotIndex_B = Long([.. slots.Select(slot => (long)slot)], slots.Length);
        var positions = new long[slots.Length * NewTokens];
        for (var i = 0; i < positions.Length; i++) positions[i] = Math.Min(starts[i / NewTokens] + (i % NewTokens), Length - 1);
        Positions_BT = Long(positions, slots.Length, NewTokens);
        if (counts.Any(count => count != NewTokens))
        {
            real = Long([.. Enumerable.Range(0, positions.Length).Where(i => i % NewTokens < counts[i / NewTokens]).Select(i => (long)i)], counts.Sum());
        }
        Allowed_BTS = NewTokens == 1 && starts.Distinct().Count() == 1 ? null : Allowed(starts);
    }

    /// <summary>New tokens of the longest line.</summary>
    public int NewTokens { get; }

    /// <summary>Tokens of the longest line when this is done: no position is at or beyond it.</summary>
    public int Length { get; }

    /// <summary>Position of each new token in its sequence, int64.</summary>
    public Tensor Positions_BT { get; }

    /// <summary>Which kept tokens each new one may look at, bool; null where all of them.</summary>
    public Tensor? Allowed_BTS { get; }

    public (Tensor Keys, Tensor Values) Append(int layer, Tensor keys_BKTH, Tensor values_BKTH) =>
        (Append(cache.Keys(layer), keys_BKTH), Append(cache.Values(layer), values_BKTH));

    /// <summary>The new tokens count from now on.</summary>
    public void Commit()
    {
        for (var line = 0; line < slots.Length; line++) cache.SetLength(slots[line], cache.Length(slots[line]) + counts[line]);
    }

    private Tensor Append(Tensor storage, Tensor fresh_BKTH)
    {
        long heads = storage.shape[1], width = storage.shape[3];
        // [B, T, K, H], so that one list of places serves all heads, and padding is left out by its place in the line.
        var rows = fresh_BKTH.transpose(1, 2).reshape(-1, heads * width);
        if (real is not null) rows = rows.index_select(0, real);
        storage.view(-1, width).index_copy_(0, Rows((int)heads), rows.view(-1, width));
        var lines = neighbours ? storage.narrow(0, slots[0], slots.Length) : storage.index_select(0, slotIndex_B!);
        return lines.narrow(2, 0, Length);
    }

    /// <summary>Where each new token's heads go in the storage seen as rows of one head, in the order (line, token, head).</summary>
    private Tensor Rows(int heads)
    {
        if (rowsByHeads.TryGetValue(heads, out var known)) return known;
        var rows = new List<long>();
        for (var line = 0; line < slots.Length; line++)
        {
            for (var token = 0; token < counts[line]; token++)
            {
                for (var head = 0; head < heads; head++) rows.Add((((long)slots[line] * heads) + head) * cache.Capacity + cache.Length(slots[line]) + token);
            }
        }
        return rowsByHeads[heads] = Long([.. rows], rows.Count);
    }

    private Tensor Allowed(int[] starts)
    {
        var allowed = new bool[slots.Length * NewTokens * Length];
        for (var row = 0; row < slots.Length * NewTokens; row++)
        {
            // A padded token sees what the line's last one sees: never nothing, and never used.
            var seen = starts[row / NewTokens] + Math.Min(row % NewTokens, counts[row / NewTokens] - 1) + 1;
            Array.Fill(allowed, true, row * Length, seen);
        }
        return torch.tensor(allowed, [slots.Length, NewTokens, Length], device: cache.Device);
    }

    private Tensor Long(long[] numbers, params long[] shape) => torch.tensor(numbers, shape, device: cache.Device);
}
