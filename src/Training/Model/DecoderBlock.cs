using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>One layer: attention, then the feed-forward, each on a normalised copy and added to the residual stream.</summary>
public sealed class DecoderBlock(RmsNorm attentionNorm, Attention attention, RmsNorm feedForwardNorm, FeedForward feedForward)
{
    public RmsNorm AttentionNorm { get; } = attentionNorm;

    public Attention Attention { get; } = attention;

    public RmsNorm FeedForwardNorm { get; } = feedForwardNorm;

    public FeedForward FeedForward { get; } = feedForward;

    public Tensor Forward(Tensor x_BTD, ForwardContext context)
    {
        var attended_BTD = x_BTD + Attention.Forward(AttentionNorm.Forward(x_BTD), context);
        return attended_BTD + FeedForward.Forward(FeedForwardNorm.Forward(attended_BTD));
    }
}
