using TorchSharp;
using static TorchSharp.torch;
using F = TorchSharp.torch.nn.functional;

namespace Gradus.Training.Model;

/// <summary>The gated feed-forward of the Llama family (SwiGLU, Shazeer 2020): down(silu(gate(x)) * up(x)).</summary>
public sealed class FeedForward(Linear gate, Linear up, Linear down) : IFeedForward
{
    public Linear Gate { get; } = gate;

    public Linear Up { get; } = up;

    public Linear Down { get; } = down;

    public Tensor Forward(Tensor x_BTD) => Down.Forward(F.silu(Gate.Forward(x_BTD)) * Up.Forward(x_BTD));
}
