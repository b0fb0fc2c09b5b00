using System.Runtime.InteropServices;
using Gradus.Training.Model;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Inference;

/// <summary>Decodes with libtorch on the model's own weights, on any device: what an optimizer step changes, the next token sees. The cache grows as it must.</summary>
/// <param name="ownsModel">Whether the model is disposed with it.</param>
// Shapes: B sequences, T tokens of the longest prompt, D width, V vocabulary.
public sealed class TorchDecoder(CausalLm model, bool ownsModel = false) : IDecoder
{
    private const int FirstSlots = 16, FirstCapacity = 128;

    private readonly string device = model.Device.ToString();
    private KvCache? cache;

    public int VocabularySize => model.Config.VocabularySize;

    public int MaxPositions => model.Config.MaxPositions;

    public void Prefill(IReadOnlyList<int> slots, IReadOnlyList<int[]> prompts, Span<float> logits)
    {
        var longest = prompts.Max(prompt => prompt.Length);
        var room = Room(slots.Max() + 1, longest + 1);
        foreach (var slot in slots) room.SetLength(slot, 0);
        var ids = new long[prompts.Count * longest];
        var last = new long[prompts.Count];
        for (var line = 0; line < prompts.Count; line++)
        {
            for (var i = 0; i < prompts[line].Length; i++) ids[(line * longest) + i] = prompts[line][i];
            last[line] = (line * longest) + prompts[line].Length - 1;
        }
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var ids_BT = torch.tensor(ids, [prompts.Count, longest], device: model.Device);
        var hidden_BTD = model.Hidden(ids_BT, room.Begin([.. slots], [.. prompts.Select(prompt => prompt.Length)]));
        var hidden_BD = hidden_BTD.reshape(-1, model.Config.HiddenSize).index_select(0, torch.tensor(last, [last.Length], device: model.Device));
        Read(model.Logits(hidden_BD), logits);
    }

    public void WeightsChanged()
    {
        // It computes on the weights themselves.
    }

    public void CopyPrefix(int from, int to, int length)
    {
        var room = Room(to + 1, length + 1);
        room.Copy(from, to, length);
    }

    public void Move(int from, int to) => cache!.Copy(from, to, cache.Length(from));

    public void Decode(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        var longest = 0;
        var ids = new long[tokens.Length];
        var slots = new int[tokens.Length];
        var counts = new int[tokens.Length];
        for (var slot = 0; slot < tokens.Length; slot++)
        {
            (ids[slot], slots[slot], counts[slot]) = (tokens[slot], slot, 1);
            longest = Math.Max(longest, cache!.Length(slot));
        }
        var room = Room(tokens.Length, longest + 1);
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        var hidden_B1D = model.Hidden(torch.tensor(ids, [tokens.Length, 1], device: model.Device), room.Begin(slots, counts));
        Read(model.Logits(hidden_B1D.view(tokens.Length, -1)), logits);
    }

    public void Dispose()
    {
        cache?.Dispose();
        if (ownsModel) model.Dispose();
    }

    // In doubles, so that growing costs little over a sequence's length.
    private KvCache Room(int slots, int capacity)
    {
        if (cache is not null && cache.Slots >= slots && cache.Capacity >= capacity) return cache;
        var grown = new KvCache(
            model.Config, Math.Max(slots, cache is null ? FirstSlots : slots > cache.Slots ? cache.Slots * 2 : cache.Slots),
            Math.Min(MaxPositions, Math.Max(capacity, cache is null ? FirstCapacity : capacity > cache.Capacity ? cache.Capacity * 2 : cache.Capacity)), device);
        if (cache is not null) grown.TakeFrom(cache);
        cache?.Dispose();
        return cache = grown;
    }

    private static void Read(Tensor logits_BV, Span<float> target)
    {
        var values = logits_BV.device_type == DeviceType.CPU ? logits_BV.contiguous() : logits_BV.cpu().contiguous();
        MemoryMarshal.Cast<byte, float>(values.bytes).CopyTo(target);
    }
}
