using System.Diagnostics;
using Gradus.Training.Inference;
using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;
using static TorchSharp.torch;

namespace Gradus.Workload;

/// <summary>Rollouts as GRPO makes them: groups that share a prompt, sampled at temperature 1 to their full length by the engine, with each decoder there is.</summary>
public static class DecodeRate
{
    public static void Print(string name, ModelConfig config, int groups, int groupSize, int prompt, int newTokens, int runs, bool libtorch)
    {
        using var model = CausalLm.Create(config, seed: 1);
        var what = $"{name}, {model.Config.Layers} layers of {model.Config.HiddenSize}, {groups} x {groupSize} sequences, {prompt} + {newTokens} tokens";
        if (libtorch) Measure($"{what}, libtorch", new TorchDecoder(model), runs);
        if (VectorDecoder.Supports(model)) Measure($"{what}, our kernels, fp32", new VectorDecoder(model, get_num_threads()), runs);
        if (VectorDecoder.SupportsBFloat16) Measure($"{what}, our kernels, bf16", new VectorDecoder(model, get_num_threads(), bfloat16: true), runs);

        void Measure(string what, IDecoder decoder, int runs)
        {
            using var engine = new Engine(decoder, groups * groupSize);
            List<double> rates = [], products = [];
            for (var run = -1; run < runs; run++)
            {
                using var scope = NewDisposeScope();
                using var noGradient = no_grad();
                Tensor a = randn(2048, 2048), b = randn(2048, 2048);
                var start = Stopwatch.GetTimestamp();
                a.matmul(b).Dispose();
                var product = 2.0 * 2048 * 2048 * 2048 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
                start = Stopwatch.GetTimestamp();
                for (var group = 0; group < groups; group++)
                {
                    int[] tokens = [.. Enumerable.Range(0, prompt).Select(t => ((group * 31) + (t * 17)) % config.VocabularySize)];
                    engine.Add(new(tokens, newTokens, new SamplingOptions(), [], [.. Enumerable.Range(0, groupSize).Select(i => (ulong)((group * groupSize) + i))]));
                }
                while (!engine.Idle) engine.Step();
                if (run < 0) continue;
                rates.Add((long)groups * groupSize * newTokens / Stopwatch.GetElapsedTime(start).TotalSeconds);
                products.Add(product);
            }
            rates.Sort();
            products.Sort();
            Console.WriteLine(FormattableString.Invariant(
                $"decode {what}: best {rates[^1]:F0}, median {rates[rates.Count / 2]:F0} tokens/s; product best {products[^1]:F0}, median {products[products.Count / 2]:F0} GF/s"));
        }
    }
}
