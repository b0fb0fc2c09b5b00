// One step of GRPO, from prompts to an update: read this first. Words: a prompt has a group of G rollouts (sampled completions); each rollout has a reward;
// its advantage is how much better it is than its group. Sampled tokens of rollouts with a positive advantage become likelier, the others less likely.
//   RowOrder (which prompts) -> RolloutCollector (sample, score) -> Advantages -> GrpoBatch (micro-batches, normaliser)
//   -> per micro-batch: CausalLm -> LogProbs -> GrpoLoss -> backward -> TrainingLoop.Update (clip, AdamW)
// As in TRL: with several updates on one batch (num_iterations) the first one has ratio 1 by detaching, and what it computed is the old policy of the others.
// Unlike TRL: a group without spread costs no forward, so that entropy is the mean over the tokens that were computed.
using System.Diagnostics;
using Gradus.Training.Model;
using Gradus.Training.Rollouts;
using Gradus.Training.Stages;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <param name="reference">The frozen start of the stage; null where beta is 0.</param>
internal sealed class GrpoStep(GrpoOptions options, TrainingLoop loop, ReferencePolicy? reference, RowOrder order, RolloutCollector collector, StageContext context)
{
    private GrpoBatch? batch;
    private AdvantageSet? advantages;

    /// <summary>Whether the next step samples anew: only then is a checkpoint all that it needs.</summary>
    public bool Ends(int step) => step % options.NumIterations == 0;

    /// <param name="step">The optimizer update, from 1.</param>
    public StepRecord Run(int step)
    {
        List<Metric> metrics = [];
        IReadOnlyList<Sample> samples = [];
        if ((step - 1) % options.NumIterations == 0)
        {
            var groups = collector.Collect(order.Batch(((step - 1) / options.NumIterations) + 1, options.Rollouts.PromptsPerStep), "rollout", step);
            if (groups.All(g => g.Rollouts.All(r => r.Score.Total is null)))
                context.Warn($"No reward applied to any rollout of step {step}: the rows lack what the rewards ask for (accuracy and last_number an answer, language_consistency a language). Nothing was learned.");
            advantages = Advantages.Of([.. groups.SelectMany(g => g.Rollouts).Select(r => r.Score.Total)], options.Rollouts.NumGenerations, options.ScaleRewards);
            batch = new GrpoBatch(groups, advantages.Values, options);
            loop.Tokens += batch.AllTokens;
            samples = RolloutMetrics.Samples(groups, advantages.Values, step - 1);
            metrics.AddRange(RolloutMetrics.Of(groups, options.Phrases));
            metrics.Add(new("reward", advantages.Reward));
            metrics.Add(new("reward_std", advantages.RewardStd));
            metrics.Add(new("frac_reward_zero_std", advantages.FracRewardZeroStd));
            metrics.Add(new("rollout_tokens_per_second", collector.TokensPerSecond));
        }
        metrics.AddRange(Train(step, batch!));
        return new(step, metrics, samples);
    }

    private List<Metric> Train(int step, GrpoBatch batch)
    {
        var clock = Stopwatch.StartNew();
        var first = (step - 1) % options.NumIterations == 0;
        var sums = new GrpoSums();
        using (loop.Products())
        {
            foreach (var micro in batch.MicroBatches) Train(micro, batch, first, sums);
        }
        var (norm, rate) = loop.Update(step);
        return sums.Metrics(batch, options.Loss, norm, rate, loop.Tokens, clock.Elapsed.TotalSeconds);
    }

    private void Train(int[] micro, GrpoBatch batch, bool first, GrpoSums sums)
    {
        using var scope = NewDisposeScope();
        using var tokens = batch.Tokens(micro, context.Request.Device);
        var pass = loop.Forward(tokens);
        var (logProbs_N, entropy_N) = LogProbs.Of(loop.Model, pass.Hidden_BTD, tokens, options.Rollouts.Temperature);
        var output = GrpoLoss.Of(batch.Input(micro, logProbs_N, reference?.LogProbs(tokens, options.Rollouts.Temperature), first), options.Loss);
        context.Progress("backward");
        pass.Backward(output.Loss);
        sums.Add(output, entropy_N);
        if (!first) return;
        var computed = logProbs_N.detach().cpu().contiguous().data<float>().ToArray();
        sums.AddDifference(batch.SamplingDifference(micro, computed));
        if (options.NumIterations > 1) batch.KeepOld(micro, computed);
    }
}
