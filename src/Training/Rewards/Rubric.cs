using System.Text.Json;
using Gradus.Training.Stages;

namespace Gradus.Training.Rewards;

/// <summary>What a rubric says of one completion.</summary>
/// <param name="Rewards">Raw values by name, in the rubric's order; null where a reward does not apply.</param>
/// <param name="Total">The weighted sum of those that apply; null where none does.</param>
public sealed record RubricScore(IReadOnlyList<SampleReward> Rewards, double? Total);

/// <summary>A reward failed: the job fails with its name.</summary>
public sealed class RewardFailedException(string name, string reason, Exception? inner = null) : Exception($"The reward '{name}' failed: {reason}", inner)
{
    public string Reward { get; } = name;
}

/// <summary>Rewards with their weights. Their order is that of the options.</summary>
public sealed class Rubric
{
    /// <summary>Weights go from minus this to this.</summary>
    public const double LargestWeight = 100;

    /// <summary>A reward's value beyond this fails the job, as does one that is no number.</summary>
    public const double LargestValue = 1_000_000;

    private readonly (IReward Reward, double Weight)[] parts;

    /// <exception cref="InvalidInputException">No reward, a name twice, or a weight out of range.</exception>
    public Rubric(IEnumerable<(IReward Reward, double Weight)> rewards)
    {
        parts = [.. rewards];
        if (parts.Length == 0) throw new InvalidInputException("'rewards' needs at least one reward.", "rewards", "missing");
        for (var i = 0; i < parts.Length; i++)
        {
            if (!(Math.Abs(parts[i].Weight) <= LargestWeight))
                throw new InvalidInputException($"A reward's weight must be from -{LargestWeight} to {LargestWeight}; it is {parts[i].Weight}.", $"rewards[{i}].weight", "out_of_range");
            if (parts.Take(i).Any(other => other.Reward.Name == parts[i].Reward.Name))
                throw new InvalidInputException($"The reward '{parts[i].Reward.Name}' is there twice.", $"rewards[{i}].name");
        }
    }

    /// <summary>The names that options may use.</summary>
    public static IReadOnlyList<string> Known { get; } = ["accuracy", "format", "language_consistency", "last_number", "repetition_penalty", "soft_overlong"];

    public IEnumerable<IReward> Rewards => parts.Select(part => part.Reward);

    public IReadOnlyList<string> Names => [.. parts.Select(part => part.Reward.Name)];

    public IReadOnlyList<double> Weights => [.. parts.Select(part => part.Weight)];

    /// <summary><c>[{"name":"accuracy","weight":1,"require_format":true}, {"name":"format","weight":0.2}]</c>; weight is 1 where it is not given.</summary>
    /// <exception cref="InvalidInputException">Names the place: <c>rewards[1].weight</c>.</exception>
    public static Rubric FromOptions(JsonElement rewards)
    {
        if (rewards.ValueKind != JsonValueKind.Array || rewards.GetArrayLength() is 0 or > 32)
            throw new InvalidInputException($"'rewards' must be a list of 1 to 32 objects like {{\"name\":\"accuracy\",\"weight\":1}}; known: {string.Join(", ", Known)}.", "rewards");
        return new Rubric(rewards.EnumerateArray().Select((entry, i) => RewardOptions.Read(entry, $"rewards[{i}]")).ToList());
    }

    /// <exception cref="RewardFailedException">A reward threw, or gave what is no number within ±1,000,000.</exception>
    public RubricScore Score(RewardContext context)
    {
        var values = new SampleReward[parts.Length];
        double? total = null;
        for (var i = 0; i < parts.Length; i++)
        {
            var (reward, weight) = parts[i];
            var value = Value(reward, context);
            values[i] = new SampleReward(reward.Name, value);
            if (value is { } number) total = (total ?? 0) + (weight * number);
        }

        return new RubricScore(values, total);
    }

    private static double? Value(IReward reward, RewardContext context)
    {
        double? value;
        try
        {
            value = reward.Score(context);
        }
        catch (Exception problem)
        {
            throw new RewardFailedException(reward.Name, problem.Message, problem);
        }

        return value is { } number && !(Math.Abs(number) <= LargestValue)
            ? throw new RewardFailedException(reward.Name, $"it gave {number}; allowed is -{LargestValue} to {LargestValue}.")
            : value;
    }
}
