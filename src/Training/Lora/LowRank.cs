using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Lora;

/// <summary>What an adapter adds to one linear map: scale * B(A(x)), of rank R (LoRA, Hu et al. 2021, section 4.1).</summary>
/// <param name="a_RI">[R, in], fp32.</param>
/// <param name="b_OR">[out, R], fp32.</param>
// Shapes: R rank, I inputs, O outputs.
public sealed class LowRank(Tensor a_RI, Tensor b_OR, double scale) : IDisposable
{
    /// <summary>Elements of a mask made at a time: a span holds at most 2 GiB.</summary>
    private const long Slice = 1L << 26;

    public Tensor A { get; } = a_RI;

    public Tensor B { get; } = b_OR;

    public double Scale { get; } = scale;

    public int Rank => (int)A.shape[0];

    /// <summary>While set, inputs are dropped: each with the probability, by draws of the key alone, so that computing it again drops the same ones.</summary>
    internal (double Probability, ulong Key)? Dropout { get; set; }

    /// <summary>[..., in] to [..., out].</summary>
    public Tensor Forward(Tensor x) => F.linear(F.linear(Dropout is { } drop ? x * Mask(x, drop.Probability, drop.Key) : x, A), B) * Scale;

    /// <summary>scale * BA, [out, in]: what merging adds to the weight.</summary>
    public Tensor Product() => B.matmul(A) * Scale;

    /// <summary>A copy without gradient.</summary>
    public LowRank Clone()
    {
        using var scope = NewDisposeScope();
        return new(A.detach().clone().DetachFromDisposeScope(), B.detach().clone().DetachFromDisposeScope(), Scale);
    }

    public void Dispose()
    {
        A.Dispose();
        B.Dispose();
    }

    /// <summary>0 where an input is dropped, else 1 / (1 - probability).</summary>
    private static Tensor Mask(Tensor x, double probability, ulong key)
    {
        var mask = empty(x.shape);
        var flat = mask.view(-1);
        var random = new DerivedRandom(key);
        var (threshold, kept) = ((ulong)(probability * (1UL << 32)), (float)(1 / (1 - probability)));
        for (long start = 0, count = flat.numel(); start < count; start += Slice)
        {
            // Two draws of 32 bits from each number.
            var values = MemoryMarshal.Cast<byte, float>(flat.narrow(0, start, Math.Min(Slice, count - start)).bytes);
            for (var i = 0; i < values.Length; i += 2)
            {
                var bits = random.NextUInt64();
                values[i] = bits >> 32 < threshold ? 0 : kept;
                if (i + 1 < values.Length) values[i + 1] = (uint)bits < threshold ? 0 : kept;
            }
        }
        return mask.to(x.device);
    }
}
