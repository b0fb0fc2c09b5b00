// The rollouts of one step cut into micro-batches for the trainer. All tokens are counted first, so that the normaliser is the whole step's.
// Rollouts of groups without spread count there, and are computed only where the divergence from a reference needs them.
using Gradus.Training.Model;
using Gradus.Training.Rollouts;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

internal sealed class GrpoBatch
{
    private readonly Rollout[] rollouts;
    private readonly TokenRow[] rows;
    private readonly double[] weights;
    private readonly double[] advantages;
    private readonly float[]?[] oldLogProbs;

    public GrpoBatch(IReadOnlyList<RolloutGroup> groups, double[] advantages, GrpoOptions options)
    {
        this.advantages = advantages;
        rollouts = [.. groups.SelectMany(g => g.Rollouts)];
        rows = [.. groups.SelectMany(g => g.Rollouts.Select(r => new TokenRow([.. g.PromptTokens, .. r.Tokens], g.PromptTokens.Length)))];
        oldLogProbs = new float[rollouts.Length][];
        CompletionTokens = rollouts.Sum(r => (long)r.Tokens.Length);
        AllTokens = rows.Sum(r => (long)r.Tokens.Length);
        weights = [.. rollouts.Select(r => GrpoLoss.TokenWeight(options.Loss.LossType, r.Tokens.Length, rollouts.Length, CompletionTokens))];
        int[] live = [.. Enumerable.Range(0, rollouts.Length).Where(i => advantages[i] != 0 || options.Loss.Beta > 0)];
        Skipped = rollouts.Length - live.Length;
        MicroBatches = [.. TokenBatch.Split([.. live.Select(i => rows[i].Tokens.Length)], options.Loop.MaxTokensPerMicrobatch).Select(m => m.Select(i => live[i]).ToArray())];
    }

    public int Rollouts => rollouts.Length;

    /// <summary>Rollouts that no work is done for.</summary>
    public int Skipped { get; }

    public long CompletionTokens { get; }

    /// <summary>Prompts included, once for each rollout (TRL's num_tokens).</summary>
    public long AllTokens { get; }

    /// <summary>Places of the rollouts of each micro-batch.</summary>
    public IReadOnlyList<int[]> MicroBatches { get; }

    public TokenBatch Tokens(int[] micro, string device) => TokenBatch.Create([.. micro.Select(i => rows[i])], device);

    /// <summary>The loss's input; tensors belong to the current dispose scope.</summary>
    public GrpoLossInput Input(int[] micro, Tensor logProbs_N, Tensor? reference_N, bool firstUpdate)
    {
        var device = logProbs_N.device;
        var old = firstUpdate ? null : Flat(micro, (i, n) => oldLogProbs[i]![n], device);
        var row_N = tensor(micro.SelectMany((i, row) => Enumerable.Repeat((long)row, rollouts[i].Tokens.Length)).ToArray(), device: device);
        return new(logProbs_N, old, reference_N, Flat(micro, (i, _) => (float)advantages[i], device), Flat(micro, (i, _) => (float)weights[i], device), ones_like(logProbs_N.detach()), row_N, micro.Length);
    }

    /// <summary>Keeps the log-probabilities of the first update: the policy that sampled, as the trainer computes it.</summary>
    public void KeepOld(int[] micro, ReadOnlySpan<float> logProbs_N)
    {
        var place = 0;
        foreach (var i in micro)
        {
            oldLogProbs[i] = logProbs_N.Slice(place, rollouts[i].Tokens.Length).ToArray();
            place += rollouts[i].Tokens.Length;
        }
    }

    /// <summary>How far the engine's log-probabilities lie from the trainer's: sum and largest absolute difference.</summary>
    public (double Sum, double Max) SamplingDifference(int[] micro, ReadOnlySpan<float> logProbs_N)
    {
        double sum = 0, max = 0;
        var place = 0;
        foreach (var logProb in micro.SelectMany(i => rollouts[i].LogProbs))
        {
            var difference = Math.Abs(logProb - logProbs_N[place++]);
            sum += difference;
            max = Math.Max(max, difference);
        }
        return (sum, max);
    }

    private Tensor Flat(int[] micro, Func<int, int, float> value, Device device) =>
        tensor(micro.SelectMany(i => Enumerable.Range(0, rollouts[i].Tokens.Length).Select(n => value(i, n))).ToArray(), device: device);
}
