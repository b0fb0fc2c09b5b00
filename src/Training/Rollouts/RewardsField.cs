using System.Text.Json;
using Gradus.Training.Rewards;
using Gradus.Training.Stages;

namespace Gradus.Training.Rollouts;

/// <summary>The field <c>rewards</c>; which there are and what each takes stands in Rewards/.</summary>
internal static class RewardsField
{
    public static JsonElement Read(OptionReader reader)
    {
        var value = reader.Element("rewards") ?? throw new InvalidInputException($"'{reader.At("rewards")}' is missing: a list of rewards is needed, of {string.Join(", ", Rubric.Known)}.", reader.At("rewards"), "missing");
        try
        {
            Rubric.FromOptions(value);
        }
        catch (InvalidInputException error) when (reader.Path.Length > 0)
        {
            throw new InvalidInputException(error.Message.Replace("'rewards", $"'{reader.At("rewards")}", StringComparison.Ordinal), $"{reader.Path}.{error.Parameter}", error.Code);
        }
        return value;
    }
}
