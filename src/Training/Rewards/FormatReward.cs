namespace Gradus.Training.Rewards;

/// <summary>1 for a well-formed completion that ended by itself, 0 otherwise (paper: format reward). See <see cref="ReasoningText.WellFormed"/>.</summary>
public sealed class FormatReward : IReward
{
    public string Name => "format";

    public double? Score(RewardContext context) => context.FinishReason == "stop" && context.Parts.WellFormed ? 1 : 0;
}
