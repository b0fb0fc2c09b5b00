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

    /// <summary>[..., in] to [..., out].</summary>
    public Tensor Forward(Tensor x) => F.linear(x, Weight, Bias);
}
