namespace Gradus.Training.Rewards;

/// <summary>
/// 1 where the last run of digits in the completion is the row's <c>answer</c> (leading zeros aside), 0 otherwise; null for a row without one. It knows no tags, signs or
/// decimals: for models that answer in their own words.
/// </summary>
public sealed class LastNumberReward : IReward
{
    public string Name => "last_number";

    public double? Score(RewardContext context)
    {
        if (context.Field("answer") is not { } reference) return null;
        var text = context.Completion.AsSpan();
        var end = text.LastIndexOfAnyInRange('0', '9') + 1;
        var start = text[..end].LastIndexOfAnyExceptInRange('0', '9') + 1;
        return end > 0 && text[start..end].TrimStart('0').SequenceEqual(reference.AsSpan().Trim().TrimStart('0')) ? 1 : 0;
    }
}
