using System.Diagnostics;
using Gradus.Training.Model;
using Gradus.Training.Optimizer;
using Gradus.Training.Stages;
using static TorchSharp.torch;

namespace Gradus.Workload;

/// <summary>
/// Whole training steps (forward, backward, clipping, AdamW) on random tokens. Operations are counted as usual: 6 N + 12 L d T per token, N the weights
/// of matrices, embedding included, L layers of width d, T tokens a row.
/// </summary>
public static class TrainingRate
{
    /// <summary>Steps alternate with products of two 2048 x 2048 matrices in the precision of the step, so that both see the same machine.</summary>
    public static void Print(string name, ModelConfig config, int rows, int length, int steps, bool bfloat16 = false, bool recompute = false)
    {
        using var model = CausalLm.Create(config, seed: 1);
        using var optimizer = new AdamW(model.Parameters, new AdamWOptions());
        using var scope = NewDisposeScope();
        var type = bfloat16 ? ScalarType.BFloat16 : ScalarType.Float32;
        Tensor a = randn(2048, 2048).to(type), b = randn(2048, 2048).to(type);
        var batchRows = Enumerable.Range(0, rows).Select(row => new TokenRow([.. Enumerable.Range(0, length).Select(t => (row * 31 + t * 17 + t * t) % config.VocabularySize)], 1)).ToArray();
        long weights = model.Parameters.Where(p => p.Value.ndim > 1).Sum(p => p.Value.numel());
        double operations = 6.0 * weights + 12.0 * config.Layers * config.HiddenSize * length;
        List<double> rates = [], products = [];
        double[] parts = new double[4];
        for (int step = -2; step < steps; step++)
        {
            using var stepScope = NewDisposeScope();
            long start = Stopwatch.GetTimestamp();
            using (no_grad()) a.matmul(b).Dispose();
            double product = 2.0 * 2048 * 2048 * 2048 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
            Gradients.Clear(model.Parameters);
            ResidentMemory.ResetPeak();
            start = Stopwatch.GetTimestamp();
            long mark = start;
            using var batch = TokenBatch.Create(batchRows);
            using var precision = bfloat16 ? new BFloat16Products() : null;
            var pass = model.Pass(batch, recompute);
            var loss = pass.LogProbs().LogProbs_N.mean().neg();
            double forward = Lap(ref mark);
            pass.Backward(loss);
            precision?.Dispose();
            double backward = Lap(ref mark);
            double norm = Gradients.Norm(model.Parameters);
            double clip = Lap(ref mark);
            optimizer.Step(1e-4, Gradients.Factor(norm, 1));
            double update = Lap(ref mark);
            if (step < 0) continue;
            rates.Add(rows * length / Stopwatch.GetElapsedTime(start).TotalSeconds);
            products.Add(product);
            (parts[0], parts[1], parts[2], parts[3]) = (parts[0] + forward, parts[1] + backward, parts[2] + clip, parts[3] + update);
        }
        rates.Sort();
        products.Sort();
        double best = rates[^1], median = rates[rates.Count / 2];
        Console.WriteLine(FormattableString.Invariant(
            $"{name}{(bfloat16 ? " bf16" : "")}{(recompute ? " recomputed" : "")}: {weights / 1e6:F2}M weights, {rows} x {length} tokens: best {best:F0}, median {median:F0} tokens/s = {best * operations / 1e9:F0}, {median * operations / 1e9:F0} GF/s; product {products[^1]:F0}, {products[products.Count / 2]:F0} GF/s; share best {best * operations / 1e9 / products[^1]:F2}, median {median * operations / 1e9 / products[products.Count / 2]:F2}; ms forward {parts[0] / steps:F1} backward {parts[1] / steps:F1} clip {parts[2] / steps:F1} update {parts[3] / steps:F1}; peak {ResidentMemory.PeakBytes() / 1e9:F2} GB"));
    }

    private static double Lap(ref long mark)
    {
        long before = mark;
        mark = Stopwatch.GetTimestamp();
        return Stopwatch.GetElapsedTime(before, mark).TotalMilliseconds;
    }
}
