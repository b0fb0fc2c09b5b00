using System.Text.Json;
using System.Text.Json.Nodes;
using static System.FormattableString;

namespace Gradus.Training.Stages;

/// <summary>
/// A step's metrics in, warnings out that say what to do: each once, when its trouble has lasted for its number of steps, and again only after a step without it. A step that lacks
/// a metric (one that samples nothing) says nothing about it. Its state goes into the checkpoint, so that a resumed job warns as an unbroken one. The bounds are ours.
/// </summary>
/// <param name="bfloat16">Rollouts are sampled with products in bf16, which round: their log-probabilities lie further from the trainer's.</param>
/// <param name="state">What <see cref="State"/> gave; null at a start.</param>
internal sealed class StepWarnings(bool bfloat16, JsonElement? state)
{
    /// <summary>How far a log-probability at sampling may lie from the trainer's, in nats, by dtype: of any token, and on average.</summary>
    public static readonly (double Max, double Mean) Float32Difference = (1e-3, 1e-3), BFloat16Difference = (0.5, 0.05);

    /// <summary>The first steps whose mean entropy is what later ones are held against.</summary>
    private const int FirstSteps = 5;

    private readonly Dictionary<string, int> troubled = state is { } kept ? kept.GetProperty("troubled").Deserialize<Dictionary<string, int>>()! : [];
    private readonly List<double> firstEntropies = state is { } kept ? kept.GetProperty("first_entropies").Deserialize<List<double>>()! : [];

    public JsonObject State => new() { ["troubled"] = JsonSerializer.SerializeToNode(troubled), ["first_entropies"] = JsonSerializer.SerializeToNode(firstEntropies) };

    /// <param name="metrics">All of one step; a metric that is not a finite number is trouble.</param>
    public IReadOnlyList<string> Of(int step, IReadOnlyList<Metric> metrics)
    {
        var figures = metrics.ToDictionary(metric => metric.Name, metric => metric.Value);
        List<string> said = [];
        Check("grad_norm", 1, _ => false, _ => "The gradient is not finite: the step changed nothing (skipped_updates counts such steps). A third in a row ends the job. Lower learning_rate or max_grad_norm.");
        Check("frac_unscored", 1, share => share >= 1, _ =>
            "No reward applied to any rollout: the rows lack what the rewards ask for (accuracy and last_number an answer, language_consistency a language). Nothing was learned.");
        Check("frac_reward_zero_std", 5, share => share >= 0.95, share => Invariant(
            $"The rewards have had no spread for 5 batches ({100 * share:0} % of the groups are all alike, the mean reward is {figures.GetValueOrDefault("reward"):0.###}): nothing is learned. The problems are too hard or too easy for this model: choose others, raise num_generations or temperature, or set max_resamples."));
        Check("completions/clipped_ratio", 3, share => share >= 0.95, share => Invariant(
            $"Almost every completion was cut off for 3 batches ({100 * share:0} % of them): what comes after the cut is never rewarded. Raise max_completion_length, or train the model to end first."));
        var usual = firstEntropies.DefaultIfEmpty(0).Average();
        // Only where the model trains on its own samples: elsewhere a falling entropy is what is wanted.
        if (!figures.ContainsKey("policy_version")) usual = 0;
        else if (firstEntropies.Count == FirstSteps)
            Check("entropy", 3, entropy => entropy < 0.1 * usual, entropy => Invariant(
                $"The entropy has fallen to {entropy:0.####} nats, below a tenth of what it was ({usual:0.###}), for 3 steps: the policy no longer explores. Lower learning_rate, raise epsilon_high or temperature, or set beta."));
        else if (figures.TryGetValue("entropy", out var first) && double.IsFinite(first)) firstEntropies.Add(first);
        Check("kl", 3, kl => kl > 1, kl => Invariant($"The policy has been {kl:0.##} nats a token from its reference for 3 steps: it wanders off. Lower learning_rate, or raise beta."));
        var (max, mean) = bfloat16 ? BFloat16Difference : Float32Difference;
        var average = figures.GetValueOrDefault("sampling/sampling_logp_difference/mean");
        Check("sampling/sampling_logp_difference/max", 1, largest => largest > max || average > mean, largest => Invariant(
            $"Log-probabilities at sampling are up to {largest:0.####} nats ({average:0.#####} on average) from the trainer's; {max} ({mean}) is the bound. ")
            + (bfloat16 ? "Set vllm_importance_sampling_correction, or dtype float32." : "In float32 the two compute the same: if the loss is sound, this is worth a report with the model's name."));
        return said;

        void Check(string metric, int steps, Predicate<double> wrong, Func<double, string> message)
        {
            if (!figures.TryGetValue(metric, out var value)) return;
            if (double.IsFinite(value) && !wrong(value))
            {
                troubled.Remove(metric);
                return;
            }
            troubled[metric] = troubled.GetValueOrDefault(metric) + 1;
            if (troubled[metric] == steps) said.Add($"Step {step}: {message(value)}");
        }
    }
}
