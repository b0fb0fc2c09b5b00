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
            // As a stage bounds it: pages are used again instead of growing on.
            using var engine = new Engine(decoder, groups * groupSize) { CacheBytes = groups * groupSize * decoder.BytesOf(prompt + newTokens) };
            List<double> rates = [], prefills = [], decodes = [], products = [];
            for (var run = -1; run < runs; run++)
            {
                using var scope = NewDisposeScope();
                using var noGradient = no_grad();
                Tensor a = randn(2048, 2048), b = randn(2048, 2048);
                var start = Stopwatch.GetTimestamp();
                a.matmul(b).Dispose();
                var product = 2.0 * 2048 * 2048 * 2048 / Stopwatch.GetElapsedTime(start).TotalSeconds / 1e9;
                // Prompts of its own for each run, so that none finds its beginnings in the cache.
                start = Stopwatch.GetTimestamp();
                for (var group = 0; group < groups; group++)
                {
                    int[] tokens = [.. Enumerable.Range(0, prompt).Select(t => (((run + 1) * 2_003) + (group * 31) + (t * 17)) % config.VocabularySize)];
                    engine.Add(new(tokens, newTokens, new SamplingOptions(), [], [.. Enumerable.Range(0, groupSize).Select(i => (ulong)((group * groupSize) + i))]));
                }
                // The first step computes the prompts and draws a first token from each.
                engine.Step();
                var prefill = Stopwatch.GetElapsedTime(start).TotalSeconds;
                while (!engine.Idle) engine.Step();
                if (run < 0) continue;
                var all = Stopwatch.GetElapsedTime(start).TotalSeconds;
                rates.Add((long)groups * groupSize * newTokens / all);
                prefills.Add((long)groups * prompt / prefill);
                decodes.Add((long)groups * groupSize * (newTokens - 1) / (all - prefill));
                products.Add(product);
            }
            Console.WriteLine(FormattableString.Invariant($"decode {what}, best and median: prefill {Of(prefills)}, decode {Of(decodes)}, both {Of(rates)} tokens/s; product {Of(products)} GF/s"));
        }
    }

    private static string Of(List<double> rates) => FormattableString.Invariant($"{rates.Max():F0}, {rates.Order().ElementAt(rates.Count / 2):F0}");
}
