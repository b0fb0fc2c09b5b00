using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Evaluation;
using Gradus.Training.Grpo;
using Gradus.Training.Rollouts;
using Gradus.Training.Sft;
using Gradus.Training.Stages;

namespace Gradus.Api.Jobs;

/// <summary>Whether a dataset's rows are of a form that the stage can use, told from its first row: all of a dataset's rows have one form.</summary>
internal static class RowFit
{
    /// <exception cref="InvalidInputException">With the place that names the dataset, what the stage needs and what the rows have.</exception>
    public static void Require(StageOptions options, StageReference reference, JsonElement row)
    {
        if (reference.Path.Contains("held_out", StringComparison.Ordinal)) return;
        bool Has(string name) => row.TryGetProperty(name, out _);
        var needs = options switch
        {
            PretrainOptions or SftOptions => Has("messages") || Has("text") || (Has("prompt") && Has("completion")) ? null : "'prompt' and 'completion', or 'messages', or 'text'",
            GrpoOptions grpo => Missing(Rewarded(grpo.Rewards)),
            RejectionSamplingOptions sampling => Missing(Rewarded(sampling.Rewards)),
            EvaluateOptions => Missing(false),
            _ => null,
        };
        if (needs is null) return;
        throw new InvalidInputException(
            $"'{reference.Path}' names the dataset '{reference.Id}', whose rows have {string.Join(", ", row.EnumerateObject().Select(field => field.Name).Take(10))}; this stage needs {needs}.", reference.Path, "invalid_reference");

        string? Missing(bool answer) => Has("prompt") && (!answer || Has("answer")) ? null : answer ? "'prompt' and 'answer' (for the rewards accuracy and last_number)" : "'prompt'";
    }

    private static bool Rewarded(JsonElement rewards) => rewards.EnumerateArray().Any(reward => reward.GetProperty("name").GetString() is "accuracy" or "last_number");
}
