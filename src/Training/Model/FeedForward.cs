using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>The gated feed-forward of the Llama family (SwiGLU, Shazeer 2020): down(silu(gate(x)) * up(x)).</summary>
public sealed class FeedForward(Tensor gate, Tensor up, Tensor down)
{
    public Tensor Gate { get; } = gate;

    public Tensor Up { get; } = up;

    public Tensor Down { get; } = down;

    public Tensor Forward(Tensor x_BTD) => F.linear(F.silu(F.linear(x_BTD, Gate)) * F.linear(x_BTD, Up), Down);
}
