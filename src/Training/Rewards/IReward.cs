using System.Text.Json;

namespace Gradus.Training.Rewards;

/// <summary>
/// A score for one completion. It is total (an answer for every text), bounded in value and time (linear in the text), and never evaluates the text
/// as code. Called from several threads at once.
/// </summary>
public interface IReward
{
    /// <summary>The name in options, metrics (<c>rewards/NAME/mean</c>) and samples.</summary>
    string Name { get; }

    /// <summary>The raw score; null where the reward does not apply to this row.</summary>
    double? Score(RewardContext context);
}

/// <summary>What a reward sees.</summary>
/// <param name="Prompt">As text, after the chat template, without what it opened of the completion.</param>
/// <param name="Completion">As text, without special tokens; it begins with the <c>&lt;think&gt;</c> that the prompt left open.</param>
/// <param name="Row">The dataset's row, an object: <c>answer</c>, <c>language</c>, ...</param>
/// <param name="FinishReason"><c>stop</c> or <c>length</c>.</param>
public sealed record RewardContext(string Prompt, string Completion, JsonElement Row, string FinishReason)
{
    /// <summary>Tokens of the completion, the end token included; null where only its text is known.</summary>
    public int? Tokens { get; init; }

    /// <summary>A string field of the row, or a number as it is written; null where there is none.</summary>
    public string? Field(string name)
    {
        if (Row.ValueKind != JsonValueKind.Object || !Row.TryGetProperty(name, out var value)) return null;
        return value.ValueKind switch
        {
            JsonValueKind.String => value.GetString(),
            JsonValueKind.Number => value.GetRawText(),
            _ => null,
        };
    }

    internal ReasoningText Parts => ReasoningText.Split(Completion);
}
