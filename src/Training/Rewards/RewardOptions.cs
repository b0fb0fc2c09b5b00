using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Rewards;

/// <summary>One entry of the option <c>rewards</c>: which reward, its weight (1 where not given), and its own fields. Unknown fields are refused.</summary>
internal static class RewardOptions
{
    public static (IReward Reward, double Weight) Read(JsonElement entry, string where)
    {
        var reader = new OptionReader(entry, where);
        var name = reader.Choice("name", null, [.. Rubric.Known]);
        var weight = reader.Number("weight", 1, -Rubric.LargestWeight, Rubric.LargestWeight);
        var reward = Named(name, reader);
        reader.RefuseUnknown();
        return (reward, weight);
    }

    private static IReward Named(string name, OptionReader reader)
    {
        switch (name)
        {
            case "accuracy":
                return new AccuracyReward(reader.Flag("require_format", true));
            case "format":
                return new FormatReward();
            case "last_number":
                return new LastNumberReward();
            case "soft_overlong":
                var longest = reader.Integer("max_completion_len", null, 1, 131_072);
                return new SoftOverlongReward(longest, reader.Integer("soft_punish_cache", null, 0, longest));
            case "repetition_penalty":
                return new RepetitionPenaltyReward(reader.Integer("ngram_size", 3, 1, RepetitionPenaltyReward.LargestSize), reader.Number("max_penalty", -1, -100, 0));
            default:
                return new LanguageConsistencyReward();
        }
    }
}
