using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>Root mean square normalisation (Zhang, Sennrich 2019): x / sqrt(mean(x²) + epsilon) * weight, over the last dimension.</summary>
public sealed class RmsNorm(Tensor weight_D, double epsilon)
{
    private static readonly long[] last = [-1];

    public Tensor Weight { get; } = weight_D;

    public double Epsilon { get; } = epsilon;

    public Tensor Forward(Tensor x_BTD) => x_BTD * x_BTD.square().mean(last, true).add_(Epsilon).rsqrt_() * Weight;
}
