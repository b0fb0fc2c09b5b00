using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Model;

/// <summary>What a layer mixes tokens with: <see cref="Attention"/> or <see cref="LatentAttention"/>.</summary>
public interface IAttention
{
    /// <summary>Attention of a normalised x_BTD, before the residual is added.</summary>
    Tensor Forward(Tensor x_BTD, ForwardContext context);
}

/// <summary>What a layer does with each token: <see cref="FeedForward"/> or <see cref="ExpertFeedForward"/>.</summary>
public interface IFeedForward
{
    Tensor Forward(Tensor x_BTD);
}

/// <summary>One layer: attention, then the feed-forward, each on a normalised copy and added to the residual stream.</summary>
public sealed class DecoderBlock(RmsNorm attentionNorm, IAttention attention, RmsNorm feedForwardNorm, IFeedForward feedForward)
{
    public RmsNorm AttentionNorm { get; } = attentionNorm;

    public IAttention Attention { get; } = attention;

    public RmsNorm FeedForwardNorm { get; } = feedForwardNorm;

    public IFeedForward FeedForward { get; } = feedForward;

    public Tensor Forward(Tensor x_BTD, ForwardContext context)
    {
        var attended_BTD = x_BTD + Attention.Forward(AttentionNorm.Forward(x_BTD), context);
        return attended_BTD + FeedForward.Forward(FeedForwardNorm.Forward(attended_BTD));
    }
}
