using Gradus.Training.Lora;
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

    /// <summary>What an adapter adds to the map; null where there is none, or it is off.</summary>
    public LowRank? Adapter { get; internal set; }

    /// <summary>The weights of maps that are one tensor, [n, out, in], for as many maps of one forward pass.</summary>
    public static Tensor[] Slices(Tensor stack) => BFloat16Products.Current is { } products ? products.Slices(stack) : stack.unbind();

    /// <summary>[..., in] to [..., out], fp32; the map itself is multiplied in bf16 where this thread stands in <see cref="BFloat16Products"/>, an adapter never.</summary>
    public Tensor Forward(Tensor x)
    {
        var y = BFloat16Products.Current is { } products ? products.Multiply(x, Weight, Bias) : F.linear(x, Weight, Bias);
        return Adapter is { } adapter ? y + adapter.Forward(x) : y;
    }
}
