using Gradus.Training.Model.Cpu;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>
/// While one stands, the linear maps of this thread multiply in bf16 (8 bits of precision, the range of fp32) and give fp32 back; so does their backward, whose
/// products are added up in the fp32 gradients of fp32 weights. All else (norms, rotary turns, scores and softmax, log-softmax, the optimizer) stays in fp32.
/// It keeps one copy of each weight that was used, 2 bytes a weight, made once however many micro-batches follow: weights must not change meanwhile.
/// </summary>
// As PyTorch's autocast but for attention's two products, which are few at the lengths trained here and lose the most.
public sealed class BFloat16Products : IDisposable
{
    [ThreadStatic]
    private static BFloat16Products? current;

    private readonly Dictionary<Tensor, Tensor> copies = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<JoinedMaps, Tensor> joined = [];
    private readonly BFloat16Products? outer = current;

    public BFloat16Products() => current = this;

    /// <summary>Bytes of the copies held now.</summary>
    public long CopyBytes => copies.Values.Concat(joined.Values).Sum(copy => copy.numel() * 2);

    /// <summary>What stands on this thread; null: products are fp32.</summary>
    internal static BFloat16Products? Current => current;

    /// <summary>x Wᵀ + b, fp32 in and out.</summary>
    internal Tensor Multiply(Tensor x, Tensor weight, Tensor? bias)
    {
        // What autograd needs of these it keeps itself.
        using var narrow = x.to(ScalarType.BFloat16);
        using var product = nn.functional.linear(narrow, weight.dtype == ScalarType.BFloat16 ? weight : Copy(weight));
        var wide = product.to(ScalarType.Float32);
        return bias is null ? wide : wide + bias;
    }

    /// <summary>The copies of weights that are one tensor, [n, out, in], each for <see cref="Multiply"/>: one copy, not one for each slice and each use.</summary>
    internal Tensor[] Slices(Tensor stack) => Copy(stack).unbind();

    /// <summary>The weights of maps that read the same input, one below the other, without a gradient path.</summary>
    internal Tensor Join(JoinedMaps maps)
    {
        if (joined.TryGetValue(maps, out var copy)) return copy;
        using var noGradient = no_grad();
        copy = empty([maps.Maps.Sum(map => map.Weight.shape[0]), maps.Maps[0].Weight.shape[1]], ScalarType.BFloat16).DetachFromDisposeScope();
        long from = 0;
        foreach (var map in maps.Maps)
        {
            using var part = copy.narrow(0, from, map.Weight.shape[0]);
            part.copy_(map.Weight);
            from += map.Weight.shape[0];
        }
        return joined[maps] = copy;
    }

    public void Dispose()
    {
        current = outer;
        foreach (var copy in copies.Values.Concat(joined.Values)) copy.Dispose();
        copies.Clear();
        joined.Clear();
    }

    private Tensor Copy(Tensor weight)
    {
        if (copies.TryGetValue(weight, out var copy)) return copy;
        // With its gradient path even where the first use is without one: a later use may need it.
        using var gradient = enable_grad();
        return copies[weight] = weight.to(ScalarType.BFloat16).DetachFromDisposeScope();
    }
}
