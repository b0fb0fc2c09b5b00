using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// Rotary positions (Su et al. 2021) in Hugging Face's layout: feature j of a head turns with feature j + half, by the angles of <see cref="RotaryFrequencies"/>.
/// </summary>
public sealed class RotaryEmbedding(ModelConfig config, Device device) : IDisposable
{
    private Tensor? cos_PH;
    private Tensor? sin_PH;

    /// <summary>Cosines and sines for positions 0 to <paramref name="length"/> - 1, [1, T, 1, H]; the sines carry the signs of the turn.</summary>
    public (Tensor Cos, Tensor Sin) Upto(long length)
    {
        Grow(length);
        return (cos_PH!.narrow(0, 0, length).view(1, length, 1, -1), sin_PH!.narrow(0, 0, length).view(1, length, 1, -1));
    }

    /// <summary>The same for positions that differ between lines, all below <paramref name="limit"/>: [B, T, 1, H].</summary>
    public (Tensor Cos, Tensor Sin) At(Tensor positions_BT, long limit)
    {
        Grow(limit);
        long lines = positions_BT.shape[0], length = positions_BT.shape[1];
        var flat = positions_BT.view(-1);
        return (cos_PH!.index_select(0, flat).view(lines, length, 1, -1), sin_PH!.index_select(0, flat).view(lines, length, 1, -1));
    }

    /// <summary>Turns every head of [B, T, heads, H].</summary>
    public static Tensor Turn(Tensor heads, Tensor cos, Tensor sin) => (heads * cos).addcmul(heads.roll(heads.shape[^1] / 2, -1), sin, 1);

    public void Dispose()
    {
        cos_PH?.Dispose();
        sin_PH?.Dispose();
    }

    private void Grow(long length)
    {
        if (length > config.MaxPositions) throw new InvalidInputException($"A sequence of {length} tokens is longer than the model's {config.MaxPositions} positions.", "max_position_embeddings", "out_of_range");
        if (cos_PH is not null && cos_PH.shape[0] >= length) return;
        var capacity = (int)Math.Min(config.MaxPositions, Math.Max(256, 2 * length));
        var (inverse, amplitude) = RotaryFrequencies.Of(config);
        int half = inverse.Length, width = 2 * half;
        float[] cos = new float[(long)capacity * width], sin = new float[cos.Length];
        for (var j = 0; j < half; j++)
        {
            for (var position = 0; position < capacity; position++)
            {
                var (sine, cosine) = Math.SinCos(position * inverse[j]);
                var at = (position * width) + j;
                cos[at] = cos[at + half] = (float)cosine * amplitude;
                (sin[at], sin[at + half]) = ((float)-sine * amplitude, (float)sine * amplitude);
            }
        }
        Dispose();
        using var scope = NewDisposeScope();
        cos_PH = torch.tensor(cos, [capacity, width], device: device).DetachFromDisposeScope();
        sin_PH = torch.tensor(sin, [capacity, width], device: device).DetachFromDisposeScope();
    }
}
