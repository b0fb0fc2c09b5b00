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

    /// <summary>The same, with the weights of the field <c>reward_weights</c> where there is one.</summary>
    public static JsonElement ReadWeighted(OptionReader reader)
    {
        var rewards = Read(reader);
        var weights = reader.Items("reward_weights", 32);
        if (!reader.Has("reward_weights")) return rewards;
        var list = JsonSerializer.SerializeToNode(rewards)!.AsArray();
        if (weights.Count != list.Count)
            throw OptionReader.Invalid(reader.At("reward_weights"), $"'{reader.At("reward_weights")}' must hold a number for each of the {list.Count} rewards; it holds {weights.Count}.");
        foreach (var ((weight, path), reward) in weights.Zip(list))
        {
            if (reward!.AsObject().ContainsKey("weight")) throw OptionReader.Invalid(path, $"'{path}' and the reward's own weight say the same thing twice: give one.");
            if (weight.ValueKind != JsonValueKind.Number || !weight.TryGetDouble(out var number) || !(Math.Abs(number) <= Rubric.LargestWeight))
                throw OptionReader.Invalid(path, $"'{path}' must be a number from -{Rubric.LargestWeight} to {Rubric.LargestWeight}, not {OptionReader.Shown(weight)}.", "out_of_range");
            reward["weight"] = number;
        }
        return JsonSerializer.SerializeToElement(list);
    }
}
