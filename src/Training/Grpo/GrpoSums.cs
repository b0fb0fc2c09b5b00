using Gradus.Training.Stages;
using static TorchSharp.torch;

namespace Gradus.Training.Grpo;

/// <summary>Sums over a step's micro-batches -> its metrics, under TRL's names.</summary>
internal sealed class GrpoSums
{
    private long compared;
    private double loss, low, high, kl, entropy, difference, largestDifference, highMax, importance, largestImportance;
    private double lowMin = 1;
    private long tokens;

    public void Add(GrpoLossOutput output, Tensor entropy_N)
    {
        loss += output.Loss.item<float>();
        low += output.Clipped.Low;
        high += output.Clipped.High;
        lowMin = Math.Min(lowMin, output.LowMin);
        highMax = Math.Max(highMax, output.HighMax);
        importance += output.Importance.Sum;
        largestImportance = Math.Max(largestImportance, output.Importance.Max);
        kl += output.KlSum;
        entropy += entropy_N.sum().item<float>();
        tokens += entropy_N.shape[0];
    }

    /// <param name="count">Tokens that it was found of.</param>
    public void AddDifference((double Sum, double Max) of, long count)
    {
        difference += of.Sum;
        largestDifference = Math.Max(largestDifference, of.Max);
        compared += count;
    }

    public List<Metric> Metrics(GrpoBatch batch, GrpoLossOptions options, double gradNorm, double learningRate, long allTokens, double seconds)
    {
        // What was not computed has advantage 0 and is never clipped.
        double counted = Math.Max(1, options.SequenceLevel ? batch.Rollouts : batch.CompletionTokens);
        List<Metric> metrics =
        [
            new("loss", loss), new("grad_norm", gradNorm), new("learning_rate", learningRate), new("num_tokens", allTokens),
        ];
        if (options.LossType == "cispo") metrics.Add(new("cispo_clip_ratio", high / counted));
        else if (options.LossType != "sapo")
        {
            metrics.AddRange(
            [
                new("clip_ratio/low_mean", low / counted), new("clip_ratio/low_min", batch.Skipped > 0 || tokens == 0 ? 0 : lowMin),
                new("clip_ratio/high_mean", high / counted), new("clip_ratio/high_max", highMax), new("clip_ratio/region_mean", (low + high) / counted),
            ]);
        }
        if (options.Beta > 0) metrics.Add(new("kl", kl / Math.Max(1, batch.CompletionTokens)));
        if (tokens > 0)
        {
            metrics.Add(new("entropy", entropy / tokens));
            metrics.Add(new("train_tokens_per_second", tokens / seconds));
        }
        if (options.ImportanceCap is not null && tokens > 0)
        {
            metrics.Add(new("sampling/importance_sampling_ratio/mean", importance / tokens));
            metrics.Add(new("sampling/importance_sampling_ratio/max", largestImportance));
        }
        if (compared > 0)
        {
            metrics.Add(new("sampling/sampling_logp_difference/mean", difference / compared));
            metrics.Add(new("sampling/sampling_logp_difference/max", largestDifference));
        }
        return metrics;
    }
}
