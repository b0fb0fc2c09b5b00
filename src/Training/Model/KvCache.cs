using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>What one layer keeps for a token: heads, and the widths of a key and of a value (a latent cache has other widths for the two).</summary>
public readonly record struct CacheLayer(int Heads, int KeyWidth, int ValueWidth);

/// <summary>
/// Keys and values of running sequences, one slot each: per layer [slots, heads, capacity, width]. A sequence's tokens stand at 0 to its length - 1;
/// what stands behind is never seen. Slots are dense as the engine wants them: <see cref="Copy"/> moves one, or shares a prompt with a group.
/// </summary>
public sealed class KvCache : IDisposable
{
    private readonly Tensor[] keys;
    private readonly Tensor[] values;
    private int[] lengths;

    /// <param name="slots">Sequences at once.</param>
    /// <param name="capacity">Tokens of a sequence at most, prompt included.</param>
    public KvCache(ModelConfig config, int slots, int capacity, string device = "cpu")
        : this(LayersOf(config), slots, capacity, device)
    {
    }

    public KvCache(IReadOnlyList<CacheLayer> layers, int slots, int capacity, string device = "cpu")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slots, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        (Layers, Slots, Capacity, Device) = (layers, slots, capacity, torch.device(device));
        keys = [.. layers.Select(layer => Storage(layer.Heads, layer.KeyWidth))];
        values = [.. layers.Select(layer => Storage(layer.Heads, layer.ValueWidth))];
        lengths = new int[slots];
    }

    public IReadOnlyList<CacheLayer> Layers { get; }

    public int Slots { get; private set; }

    public int Capacity { get; private set; }

    public Device Device { get; }

    /// <summary>What one position takes in all layers.</summary>
    public static long BytesOfPosition(ModelConfig config) => LayersOf(config).Sum(layer => (long)layer.Heads * (layer.KeyWidth + layer.ValueWidth)) * sizeof(float);

    /// <summary>A layer's keys, [slots, heads, capacity, width], for whoever computes in place.</summary>
    public Tensor Keys(int layer) => keys[layer];

    /// <summary>A layer's values, [slots, heads, capacity, width].</summary>
    public Tensor Values(int layer) => values[layer];

    /// <summary>Tokens kept for a slot.</summary>
    public int Length(int slot) => lengths[slot];

    /// <summary>Sets how many tokens a slot keeps: 0 frees it, fewer forgets the last ones, more says that the caller wrote them in place.</summary>
    public void SetLength(int slot, int length)
    {
        if (length < 0 || length > Capacity) throw new ArgumentOutOfRangeException(nameof(length), length, $"A slot holds 0 to {Capacity} tokens.");
        lengths[slot] = length;
    }

    /// <summary>Makes a slot hold the first <paramref name="length"/> tokens of another, and no more.</summary>
    public void Copy(int from, int to, int length)
    {
        if (length < 0 || length > lengths[from]) throw new ArgumentOutOfRangeException(nameof(length), length, $"Slot {from} keeps {lengths[from]} tokens.");
        if (from != to && length > 0)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            foreach (var storage in keys.Concat(values))
            {
                storage.select(0, to).narrow(1, 0, length).copy_(storage.select(0, from).narrow(1, 0, length));
            }
        }
        lengths[to] = length;
    }

    /// <summary>Gives it another size; slots and tokens that it has no place for then are forgotten. One layer after the other, so that little stands twice.</summary>
    public void Resize(int slots, int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(slots, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        int bothSlots = Math.Min(slots, Slots), bothCapacity = Math.Min(capacity, Capacity);
        (Slots, Capacity) = (slots, capacity);
        foreach (var (storages, width) in new (Tensor[], Func<CacheLayer, int>)[] { (keys, layer => layer.KeyWidth), (values, layer => layer.ValueWidth) })
        {
            for (var layer = 0; layer < Layers.Count; layer++)
            {
                using var scope = NewDisposeScope();
                using var noGradient = no_grad();
                using var old = storages[layer];
                storages[layer] = Storage(Layers[layer].Heads, width(Layers[layer]));
                storages[layer].narrow(0, 0, bothSlots).narrow(2, 0, bothCapacity).copy_(old.narrow(0, 0, bothSlots).narrow(2, 0, bothCapacity));
            }
        }
        Array.Resize(ref lengths, slots);
        for (var slot = 0; slot < slots; slot++) lengths[slot] = Math.Min(lengths[slot], capacity);
    }

    /// <summary>Begins to append to several slots at once: slot i gets <paramref name="counts"/>[i] new tokens (padded on the right to the largest count).</summary>
    public KvCacheAppend Begin(ReadOnlySpan<int> slots, ReadOnlySpan<int> counts)
    {
        for (var line = 0; line < slots.Length; line++)
        {
            if (counts[line] < 1 || lengths[slots[line]] + counts[line] > Capacity)
            {
                throw new ArgumentException($"Slot {slots[line]} keeps {lengths[slots[line]]} tokens of {Capacity}; {counts[line]} cannot be added.", nameof(counts));
            }
        }
        return new KvCacheAppend(this, slots.ToArray(), counts.ToArray());
    }

    public void Dispose()
    {
        foreach (var storage in keys.Concat(values)) storage.Dispose();
    }

    private static IReadOnlyList<CacheLayer> LayersOf(ModelConfig config) => [.. Enumerable.Repeat(new CacheLayer(config.KeyValueHeads, config.HeadDim, config.ValueWidth), config.Layers)];

    private Tensor Storage(int heads, int width) => zeros([Slots, heads, Capacity, width], device: Device).DetachFromDisposeScope();
}
