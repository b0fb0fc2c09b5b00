// The rollouts of one update cut into micro-batches for the trainer. All tokens are counted first, so that the normaliser is the whole update's.
// Rollouts of groups without spread count there, and are computed only where the divergence from a reference needs them. Rollouts of a group share lines, in
// which their prompt is computed once.
using Gradus.Training.Model;
using Gradus.Training.Rollouts;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

internal sealed class GrpoBatch
{
    /// <summary>
    /// How long a line may be before attention, which grows with it, costs as much a token as all else: what a prompt saved is worth. Fewer operations would say 3,000 (of
    /// 135 million parameters), but attention's are slow ones.
    /// </summary>
    private const double CostlyLine = 1000;

    private readonly Rollout[] rollouts;
    private readonly int[] lineOf;
    private readonly TokenRow[] rows;
    private readonly double[] weights;
    private readonly double[] advantages;
    private readonly float[]?[] oldLogProbs;

    /// <param name="advantages">Of all rollouts of the groups.</param>
    /// <param name="places">Those of this update; null for all.</param>
    public GrpoBatch(IReadOnlyList<RolloutGroup> groups, double[] advantages, GrpoOptions options, IReadOnlyList<int>? places = null)
    {
        var all = groups.SelectMany(g => g.Rollouts.Select(r => (Group: g, Rollout: r))).ToArray();
        var chosen = places ?? [.. Enumerable.Range(0, all.Length)];
        this.advantages = [.. chosen.Select(place => advantages[place])];
        rollouts = [.. chosen.Select(place => all[place].Rollout)];
        rows = [.. chosen.Select(place => new TokenRow([.. all[place].Group.Prompt.Tokens, .. all[place].Rollout.Tokens], all[place].Group.Prompt.Tokens.Length))];
        oldLogProbs = new float[rollouts.Length][];
        var (loss, tokens) = (options.Loss, rollouts.Sum(r => (long)r.Tokens.Length));
        CompletionTokens = rollouts.Where(r => !Masked(r, loss)).Sum(r => (long)r.Tokens.Length);
        AllTokens = rows.Sum(r => (long)r.Tokens.Length);
        weights = [.. rollouts.Select(r => GrpoLoss.TokenWeight(loss.LossType, r.Tokens.Length, rollouts.Length, tokens, CompletionTokens, options.Rollouts.MaxCompletionLength))];
        // All entropies are needed to know the highest.
        int[] live = [.. Enumerable.Range(0, rollouts.Length).Where(i => !Masked(rollouts[i], loss) && (this.advantages[i] != 0 || loss.Beta > 0 || loss.TopEntropyQuantile < 1))];
        Skipped = rollouts.Length - live.Length;
        int[][] lines = [.. live.GroupBy(i => chosen[i] / groups[0].Rollouts.Count).SelectMany(group => Lines([.. group], options.Loop.MaxTokensPerMicrobatch))];
        lineOf = new int[rollouts.Length];
        for (var line = 0; line < lines.Length; line++)
            foreach (var i in lines[line]) lineOf[i] = line;
        MicroBatches = [.. TokenBatch.Split([.. lines.Select(Length)], options.Loop.MaxTokensPerMicrobatch).Select(m => m.SelectMany(line => lines[line]).ToArray())];
    }

    public int Rollouts => rollouts.Length;

    /// <summary>Rollouts that no work is done for.</summary>
    public int Skipped { get; }

    /// <summary>Of completions that are not masked.</summary>
    public long CompletionTokens { get; }

    /// <summary>Prompts included, once for each rollout (TRL's num_tokens).</summary>
    public long AllTokens { get; }

    /// <summary>Places of the rollouts of each micro-batch.</summary>
    public IReadOnlyList<int[]> MicroBatches { get; }

    public TokenBatch Tokens(int[] micro, string device) => TokenBatch.Share([.. micro.GroupBy(i => lineOf[i]).Select(line => line.Select(i => rows[i]).ToArray())], device);

    /// <summary>The loss's input; tensors belong to the current dispose scope.</summary>
    /// <param name="sampled">Whether the loss needs what the sampler computed.</param>
    public GrpoLossInput Input(int[] micro, Tensor logProbs_N, Tensor? reference_N, bool firstUpdate, Tensor? chosen_N = null, bool sampled = false)
    {
        var device = logProbs_N.device;
        var old = firstUpdate ? null : Flat(micro, (i, n) => oldLogProbs[i]![n], device);
        var row_N = tensor(micro.SelectMany((i, row) => Enumerable.Repeat((long)row, rollouts[i].Tokens.Length)).ToArray(), device: device);
        return new(logProbs_N, old, reference_N, Flat(micro, (i, _) => (float)advantages[i], device), Flat(micro, (i, _) => (float)weights[i], device), ones_like(logProbs_N.detach()), row_N, micro.Length, chosen_N, sampled ? Flat(micro, (i, n) => rollouts[i].LogProbs[n], device) : null);
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

    private static bool Masked(Rollout rollout, GrpoLossOptions loss) => loss.MaskTruncated && rollout.FinishReason == "length";

    /// <summary>The cut of a group's rollouts into lines, like lengths together, that costs least by <see cref="CostlyLine"/>. It depends on the lengths alone.</summary>
    private int[][] Lines(int[] group, int longest)
    {
        int[] order = [.. group.OrderByDescending(i => rows[i].Tokens.Length).ThenBy(i => i)];
        return Enumerable.Range(1, order.Length).Select(size => order.Chunk(size).ToArray()).Where(cut => cut[0].Length == 1 || cut.All(line => Length(line) <= longest))
            .MinBy(cut => cut.Select(Length).Sum(length => length * (1 + (length / CostlyLine))))!;
    }

    /// <summary>Tokens of a line: the prompt once, and every completion.</summary>
    private int Length(int[] line) => rows[line[0]].FirstTarget + line.Sum(i => rollouts[i].Tokens.Length);

    private Tensor Flat(int[] micro, Func<int, int, float> value, Device device) =>
        tensor(micro.SelectMany(i => Enumerable.Range(0, rollouts[i].Tokens.Length).Select(n => value(i, n))).ToArray(), device: device);
}
