using System.Text.Json;
using Gradus.Training.Lora;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;

namespace Gradus.Training.Grpo;

/// <summary><c>grpo</c>: group relative policy optimization (DeepSeekMath 2024; DeepSeek-R1, Nature 2025, eq. 1 to 3). Rows: <c>prompt</c>, and what the rewards ask for.</summary>
public sealed record GrpoOptions : StageOptions
{
    public override Artifact Makes => Artifact.Model;

    /// <summary><c>model</c>: the policy that training starts from, and with <c>beta</c> above 0 the frozen reference.</summary>
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

    /// <summary><c>rewards</c>: a list of <c>{"name","weight",...}</c>, 1 to 16.</summary>
    public required JsonElement Rewards { get; init; }

    /// <summary><c>scale_rewards</c>: what centred rewards are divided by: group (the group's deviation; Nature eq. 3), batch (that of all) or none (Dr. GRPO); default group.</summary>
    public required string ScaleRewards { get; init; }

    /// <summary><c>num_iterations</c>: updates on each batch of rollouts, 1 to 64; default 1, where the ratio is 1 and nothing is clipped. Checkpoints fall after the last of them.</summary>
    public required int NumIterations { get; init; }

    /// <summary><c>phrases</c>: names with lists of texts; the share of completions with one of them is the metric <c>completions/phrases/NAME</c>.</summary>
    public required IReadOnlyList<PhraseList> Phrases { get; init; }

    internal static GrpoOptions Read(OptionReader reader) => new()
    {
        Model = reader.Reference("model", Artifact.Model),
        Adapter = AdapterOptions.Read(reader),
        Data = DatasetOptions.Read(reader),
        Rollouts = RolloutOptions.Read(reader, prompts: 8, fewestGenerations: 2, generations: 8, greedyAllowed: false),
        Loop = LoopOptions.Read(reader, learningRate: 1e-6, scheduler: "constant"),
        Loss = GrpoLossOptions.Read(reader),
        Rewards = RewardsField.Read(reader),
        ScaleRewards = reader.Choice("scale_rewards", "group", "group", "batch", "none"),
        NumIterations = reader.Integer("num_iterations", 1, 1, 64),
        Phrases = PhraseList.Read(reader),
    };
}

/// <summary>The loss's own numbers.</summary>
public sealed record GrpoLossOptions
{
    /// <summary><c>loss_type</c>: grpo (mean over a completion's tokens, then over completions; Nature eq. 1) or dapo (mean over all tokens of the batch; DAPO eq. 8, TRL's default); default dapo.</summary>
    public string LossType { get; init; } = "dapo";

    /// <summary><c>beta</c>: weight of the k3 estimate of the divergence from the reference (Nature eq. 2), 0 to 10; default 0 (TRL's), which needs no reference.</summary>
    public double Beta { get; init; }

    /// <summary><c>epsilon</c>: the ratio is clipped below at 1 - epsilon, 0 to 10; default 0.2 (TRL's; the paper's is 10).</summary>
    public double Epsilon { get; init; } = 0.2;

    /// <summary><c>epsilon_high</c>: the ratio is clipped above at 1 + epsilon_high, 0 to 10; default epsilon (DAPO: 0.28).</summary>
    public double EpsilonHigh { get; init; } = 0.2;

    /// <summary><c>delta</c>: an upper bound on the unclipped ratio too (INTELLECT-2), 1 to 1,000; default none.</summary>
    public double? Delta { get; init; }

    /// <summary><c>importance_sampling_level</c>: the ratio of each token, or of the whole sequence (GSPO: its geometric mean); token (default) or sequence.</summary>
    public bool SequenceLevel { get; init; }

    internal static GrpoLossOptions Read(OptionReader reader)
    {
        var epsilon = reader.Number("epsilon", 0.2, 0, 10);
        return new()
        {
            LossType = reader.Choice("loss_type", "dapo", "grpo", "dapo"),
            Beta = reader.Number("beta", 0, 0, 10),
            Epsilon = epsilon,
            EpsilonHigh = reader.Number("epsilon_high", epsilon, 0, 10),
            Delta = reader.OptionalNumber("delta", 1, 1000),
            SequenceLevel = reader.Choice("importance_sampling_level", "token", "token", "sequence") == "sequence",
        };
    }
}
