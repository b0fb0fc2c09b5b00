using System.Text.Json;
using Gradus.Training.Lora;
using Gradus.Training.Rewards;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

/// <summary><c>grpo</c>: group relative policy optimization (DeepSeekMath 2024; DeepSeek-R1, Nature 2025, eq. 1 to 3). Rows: <c>prompt</c>, and what the rewards ask for.</summary>
public sealed record GrpoOptions : StageOptions
{
    public override Artifact Makes => Artifact.Model;

    /// <summary><c>model</c>: the policy that training starts from, and with <c>beta</c> above 0 the reference.</summary>
    public required StageReference Model { get; init; }

    /// <summary>
    /// <c>adapter</c>: a new adapter on the model is trained, and nothing else; default none. The reference is the model without it. Its lora_dropout is off here, as
    /// TRL turns dropout off: rollouts are sampled without, and the ratio of the two must begin at 1.
    /// </summary>
    public required AdapterOptions? Adapter { get; init; }

    public required DatasetOptions Data { get; init; }

    public required RolloutOptions Rollouts { get; init; }

    public required LoopOptions Loop { get; init; }

    public required GrpoLossOptions Loss { get; init; }

    /// <summary>
    /// <c>rewards</c>: a list of <c>{"name","weight",...}</c>, 1 to 32. <c>reward_weights</c>: their weights as TRL gives them, a list of as many numbers, in place of the field weight.
    /// </summary>
    public required JsonElement Rewards { get; init; }

    /// <summary><c>scale_rewards</c>: what centred rewards are divided by: group (the group's deviation; Nature eq. 3), batch (that of all) or none (Dr. GRPO); default group.</summary>
    public required string ScaleRewards { get; init; }

    /// <summary><c>num_iterations</c>: passes over each batch of rollouts, 1 to 64; default 1. Checkpoints fall after the last of them.</summary>
    public required int NumIterations { get; init; }

    /// <summary>
    /// <c>steps_per_generation</c>: minibatches that the rollouts of one sampling are split into, each an update of its own, 1 to 1,024; default 1 (the paper: 16). It
    /// divides the number of rollouts. Groups are shuffled and stay whole where a minibatch holds them. With one update to a batch the ratio is 1 and nothing is clipped.
    /// </summary>
    public required int StepsPerGeneration { get; init; }

    /// <summary>
    /// <c>max_resamples</c>: how often in a step groups whose rewards are all equal are drawn again, with further prompts in their place, 0 to 100; default 0, never. DAPO, section 3.2, has no
    /// bound. What is flat even then stays. Each time costs a sampling of those groups.
    /// </summary>
    public required int MaxResamples { get; init; }

    /// <summary>
    /// <c>sync_ref_model</c>: whether the policy, as it is then, becomes the reference every <c>ref_model_sync_steps</c> updates (1 to 1,000,000; default 400, the paper's; TRL's is 512); default false, the
    /// stage's start stays the reference. It becomes it whole, as in the paper (TRL mixes the two by ref_model_mixup_alpha; 1 is this). Needs beta above 0. Null: off.
    /// </summary>
    public required int? RefModelSyncSteps { get; init; }

    /// <summary>Updates between two samplings.</summary>
    public int UpdatesPerBatch => NumIterations * StepsPerGeneration;

    /// <summary><c>phrases</c>: names with lists of texts; the share of completions with one of them is the metric <c>completions/phrases/NAME</c>.</summary>
    public required IReadOnlyList<PhraseList> Phrases { get; init; }

    internal static GrpoOptions Read(OptionReader reader)
    {
        var rollouts = RolloutOptions.Read(reader, prompts: 8, fewestGenerations: 2, generations: 8, greedyAllowed: false);
        var loss = GrpoLossOptions.Read(reader);
        var loop = LoopOptions.Read(reader, learningRate: 1e-6, scheduler: "constant");
        return new()
        {
            Model = reader.Reference("model", Artifact.Model),
            Adapter = AdapterOptions.Read(reader),
            Data = DatasetOptions.Read(reader),
            Rollouts = rollouts,
            Loop = loop,
            Loss = loss,
            Rewards = Rewarding(reader, rollouts.MaxCompletionLength),
            ScaleRewards = reader.Choice("scale_rewards", "group", "group", "batch", "none"),
            NumIterations = reader.Integer("num_iterations", 1, 1, 64),
            StepsPerGeneration = Minibatches(reader, rollouts.PromptsPerStep * rollouts.NumGenerations),
            MaxResamples = reader.Integer("max_resamples", 0, 0, 100),
            RefModelSyncSteps = SyncSteps(reader, loss.Beta, loop.MaxSteps),
            Phrases = PhraseList.Read(reader),
        };
    }

    private static JsonElement Rewarding(OptionReader reader, int longest)
    {
        var rewards = RewardsField.ReadWeighted(reader);
        var rubric = Rubric.FromOptions(rewards);
        if (rubric.Weights.All(weight => weight == 0))
            throw OptionReader.Invalid(reader.At("rewards"), $"'{reader.At("rewards")}' weighs nothing: every weight is 0, so that every completion is worth the same and nothing is learned. Give one of them another weight.");
        foreach (var overlong in rubric.Rewards.OfType<SoftOverlongReward>().Where(reward => reward.Unpunished >= longest))
        {
            throw OptionReader.Invalid(
                reader.At("rewards"), $"The reward '{overlong.Name}' punishes from {overlong.Unpunished + 1} tokens on (max_completion_len less soft_punish_cache), and max_completion_length is {longest}: it would never punish.");
        }
        return rewards;
    }

    private static int? SyncSteps(OptionReader reader, double beta, int maxSteps)
    {
        var steps = reader.Integer("ref_model_sync_steps", 400, 1, 1_000_000);
        if (reader.Flag("sync_ref_model", false))
        {
            if (beta == 0) throw OptionReader.Invalid(reader.At("sync_ref_model"), $"'{reader.At("sync_ref_model")}' has no meaning where beta is 0: there is no reference.");
            return steps < maxSteps ? steps : throw OptionReader.Invalid(
                reader.At("ref_model_sync_steps"), $"'{reader.At("ref_model_sync_steps")}' is {steps} and max_steps {maxSteps}: the reference would never be replaced while it is needed. Give fewer, or leave sync_ref_model out.", "out_of_range");
        }
        return reader.Has("ref_model_sync_steps")
            ? throw OptionReader.Invalid(reader.At("ref_model_sync_steps"), $"'{reader.At("ref_model_sync_steps")}' has no meaning without sync_ref_model: set it to true, or leave this out.") : null;
    }

    private static int Minibatches(OptionReader reader, int rollouts)
    {
        var parts = reader.Integer("steps_per_generation", 1, 1, 1_024);
        return rollouts % parts == 0 ? parts : throw OptionReader.Invalid(
            reader.At("steps_per_generation"), $"'{reader.At("steps_per_generation")}' must divide the number of rollouts (prompts_per_step x num_generations, {rollouts}), not be {parts}.", "out_of_range");
    }
}
