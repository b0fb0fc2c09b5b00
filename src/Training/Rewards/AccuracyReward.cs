namespace Gradus.Training.Rewards;

/// <summary>1 where the final answer equals the row's <c>answer</c>, 0 otherwise (paper: accuracy reward); null for a row without one.</summary>
/// <param name="requireFormat">The answer counts only inside well-formed tags; otherwise <see cref="FinalAnswer.Of(string, bool)"/> says where it is looked for.</param>
public sealed class AccuracyReward(bool requireFormat = true) : IReward
{
    public string Name => "accuracy";

    public double? Score(RewardContext context)
    {
        if (context.Field("answer") is not { } reference) return null;
        var parts = context.Parts;
        var answer = FinalAnswer.Of(parts, requireFormat);
        if (answer is null) return 0;
        return answer == FinalAnswer.Canonical(reference) || (!requireFormat && FinalAnswer.Equal(parts.Answer, reference)) ? 1 : 0;
    }
}
