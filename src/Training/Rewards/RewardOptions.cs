using System.Text.Json;

namespace Gradus.Training.Rewards;

/// <summary>One entry of the option <c>rewards</c>: which reward, its weight (1 where not given), and its own fields. Unknown fields are refused.</summary>
internal static class RewardOptions
{
    public static (IReward Reward, double Weight) Read(JsonElement entry, string where)
    {
        if (entry.ValueKind != JsonValueKind.Object || !entry.TryGetProperty("name", out var nameField) || nameField.ValueKind != JsonValueKind.String)
            throw new InvalidInputException($"'{where}' must be an object with a 'name'; known: {string.Join(", ", Rubric.Known)}.", $"{where}.name", "missing");
        var name = nameField.GetString()!;
        if (!Rubric.Known.Contains(name)) throw new InvalidInputException($"There is no reward '{name}'; known: {string.Join(", ", Rubric.Known)}.", $"{where}.name", "unknown_value");
        var requireFormat = true;
        var weight = 1.0;
        foreach (var field in entry.EnumerateObject())
        {
            switch (field.Name)
            {
                case "name":
                    break;
                case "weight":
                    if (field.Value.ValueKind != JsonValueKind.Number || !field.Value.TryGetDouble(out weight) || !(Math.Abs(weight) <= Rubric.LargestWeight))
                        throw new InvalidInputException($"'{where}.weight' must be a number from -{Rubric.LargestWeight} to {Rubric.LargestWeight}; it is {field.Value}.", $"{where}.weight", "out_of_range");
                    break;
                case "require_format" when name == "accuracy":
                    if (field.Value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
                        throw new InvalidInputException($"'{where}.require_format' must be true or false; it is {field.Value}.", $"{where}.require_format");
                    requireFormat = field.Value.GetBoolean();
                    break;
                default:
                    throw new InvalidInputException($"The reward '{name}' has no field '{field.Name}'; it has: name, weight{(name == "accuracy" ? ", require_format" : "")}.", $"{where}.{field.Name}", "unknown_field");
            }
        }

        IReward reward = name switch
        {
            "accuracy" => new AccuracyReward(requireFormat),
            "format" => new FormatReward(),
            "last_number" => new LastNumberReward(),
            _ => new LanguageConsistencyReward(),
        };
        return (reward, weight);
    }
}
