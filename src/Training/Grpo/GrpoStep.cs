// One step of GRPO, from prompts to an update: read this first. Words: a prompt has a group of G rollouts (sampled completions); each rollout has a reward;
// its advantage is how much better it is than its group. Sampled tokens of rollouts with a positive advantage become likelier, the others less likely.
//   GroupSampler (RowOrder: which prompts; RolloutCollector: sample, score) -> Advantages -> GrpoBatch (micro-batches, normaliser)
//   -> per micro-batch: CausalLm -> LogProbs -> GrpoLoss -> backward -> TrainingLoop.Update (clip, AdamW)
// As in TRL: with several updates on one batch (num_iterations, steps_per_generation) the first one has ratio 1 by detaching, and what it computed is the old policy of
// the others. Unlike TRL: each minibatch's means are over its own tokens and rollouts, and groups are shuffled whole where TRL shuffles rollouts, so that a prompt is computed once.
// Unlike TRL: a group without spread costs no forward, so that entropy is the mean over the tokens that were computed.
using System.Diagnostics;
using Gradus.Training.Model;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using TorchSharp;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <param name="reference">What the policy is held to; null where beta is 0.</param>
internal sealed class GrpoStep(GrpoOptions options, TrainingLoop loop, ReferencePolicy? reference, GroupSampler sampler, StageContext context)
{
    private GrpoBatch[] batches = [];
    private AdvantageSet? advantages;
    private int version;

    /// <summary>Whether the next step samples anew: only then is a checkpoint all that it needs.</summary>
    public bool Ends(int step) => step % options.UpdatesPerBatch == 0;

    /// <param name="step">The optimizer update, from 1.</param>
    public StepRecord Run(int step)
    {
        List<Metric> metrics = [];
        IReadOnlyList<Sample> samples = [];
        if ((step - 1) % options.UpdatesPerBatch == 0)
        {
            var groups = sampler.Sample(step, metrics);
            advantages = Advantages.Of([.. groups.SelectMany(g => g.Rollouts).Select(r => r.Score.Total)], options.Rollouts.NumGenerations, options.ScaleRewards);
            batches = Batches(groups, advantages.Values, step);
            loop.Tokens += batches.Sum(batch => batch.AllTokens);
            version = step - 1;
            samples = RolloutMetrics.Samples(groups, advantages.Values, version);
            metrics.AddRange(RolloutMetrics.Of(groups, options.Phrases));
            metrics.Add(new("reward", advantages.Reward));
            metrics.Add(new("reward_std", advantages.RewardStd));
            metrics.Add(new("frac_reward_zero_std", advantages.FracRewardZeroStd));
            metrics.Add(new("frac_unscored", groups.Average(g => g.Rollouts.Average(r => r.Score.Total is null ? 1.0 : 0))));
        }
        metrics.Add(new("policy_version", version));
        metrics.AddRange(Train(step));
        if (options.RefModelSyncSteps is { } interval && step % interval == 0) reference!.Sync();
        return new(step, metrics, samples);
    }

    private GrpoBatch[] Batches(IReadOnlyList<RolloutGroup> groups, double[] values, int step)
    {
        if (options.StepsPerGeneration == 1) return [new(groups, values, options)];
        return [.. Minibatches(groups.Count, options.Rollouts.NumGenerations, options.StepsPerGeneration, DerivedRandom.For(context.Seed, "minibatches", step)).Select(part => new GrpoBatch(groups, values, options, part))];
    }

    /// <summary>The places of the rollouts of each minibatch. Groups are shuffled and then cut in a row, so that a minibatch has whole groups but at its ends, and computes their prompts once.</summary>
    internal static IEnumerable<int[]> Minibatches(int groups, int groupSize, int count, DerivedRandom random)
    {
        int[] order = [.. Enumerable.Range(0, groups)];
        random.Shuffle(order.AsSpan());
        return order.SelectMany(group => Enumerable.Range(group * groupSize, groupSize)).Chunk(groups * groupSize / count);
    }

    private List<Metric> Train(int step)
    {
        var clock = Stopwatch.StartNew();
        var place = (step - 1) % options.UpdatesPerBatch;
        var batch = batches[place % batches.Length];
        var sums = new GrpoSums();
        using (loop.Products())
        {
            // The other minibatches meet a policy that has moved on: what sampled them is kept now.
            if (place == 0) foreach (var later in batches.Skip(1)) Look(later, sums, null);
            float? threshold = null;
            if (options.Loss.TopEntropyQuantile < 1)
            {
                List<float> entropies = [];
                Look(batch, null, entropies);
                threshold = GrpoLoss.EntropyThreshold(entropies, options.Loss.TopEntropyQuantile);
            }
            foreach (var micro in batch.MicroBatches) Train(micro, batch, place == 0, threshold, sums);
        }
        var (norm, rate) = loop.Update(step);
        return sums.Metrics(batch, options.Loss, norm, rate, loop.Tokens, clock.Elapsed.TotalSeconds);
    }

    private void Train(int[] micro, GrpoBatch batch, bool first, float? threshold, GrpoSums sums)
    {
        using var scope = NewDisposeScope();
        using var tokens = batch.Tokens(micro, context.Request.Device);
        var pass = loop.Forward(tokens);
        var (logProbs_N, entropy_N) = pass.LogProbs(options.Rollouts.Temperature);
        var chosen_N = threshold is { } lowest ? entropy_N.detach().ge(lowest).to(ScalarType.Float32) : null;
        var output = GrpoLoss.Of(batch.Input(micro, logProbs_N, Reference(tokens), first, chosen_N, options.Loss.ImportanceCap is not null), options.Loss);
        context.Progress("backward");
        pass.Backward(output.Loss);
        sums.Add(output, entropy_N);
        if (first) Keep(micro, batch, logProbs_N, sums);
    }

    private Tensor? Reference(TokenBatch tokens)
    {
        if (reference is null) return null;
        context.Progress("reference");
        var logProbs_N = reference.LogProbs(tokens, options.Rollouts.Temperature);
        context.Progress("forward");
        return logProbs_N;
    }

    /// <summary>A batch as the policy sees it now, without learning from it: its log-probabilities are kept where there are sums, its entropies collected where there is a list.</summary>
    private void Look(GrpoBatch batch, GrpoSums? sums, List<float>? entropies)
    {
        foreach (var micro in batch.MicroBatches)
        {
            context.Progress("forward");
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var tokens = batch.Tokens(micro, context.Request.Device);
            var (logProbs_N, entropy_N) = loop.Model.Pass(tokens).LogProbs(options.Rollouts.Temperature);
            if (sums is not null) Keep(micro, batch, logProbs_N, sums);
            entropies?.AddRange(entropy_N.cpu().contiguous().data<float>().ToArray());
        }
    }

    private void Keep(int[] micro, GrpoBatch batch, Tensor logProbs_N, GrpoSums sums)
    {
        var computed = logProbs_N.detach().cpu().contiguous().data<float>().ToArray();
        sums.AddDifference(batch.SamplingDifference(micro, computed), computed.Length);
        if (options.UpdatesPerBatch > 1) batch.KeepOld(micro, computed);
    }
}
