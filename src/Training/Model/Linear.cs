using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>A linear map of the model, y = x Wᵀ + b, on weights that the model owns.</summary>
/// <param name="weight">[out, in].</param>
/// <param name="bias">[out], or null where the family has none.</param>
public sealed class Linear(Tensor weight, Tensor? bias = null)
{
    public Tensor Weight { get; } = weight;

    public Tensor? Bias { get; } = bias;

    /// <summary>[..., in] to [..., out], fp32; multiplied in bf16 where this thread stands in <see cref="BFloat16Products"/>.</summary>
    public Tensor Forward(Tensor x) => BFloat16Products.Current is { } products ? products.Multiply(x, Weight, Bias) : F.linear(x, Weight, Bias);
}
