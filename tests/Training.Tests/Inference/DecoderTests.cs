using System.Runtime.InteropServices;
using Gradus.Training.Inference;
using Gradus.Training.Inference.Cpu;
using Gradus.Training.Lora;
using Gradus.Training.Model;
using Gradus.Training.Sft;
using Gradus.Training.Stages;
using Gradus.Training.Tests.Model;
using Gradus.Training.Tests.Stages;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Inference;

/// <summary>Each decoder against the trainer's own computation, on models of all families.</summary>
public sealed class DecoderTests
{
    public static TheoryData<string> Names => [.. Computed];

    public static TheoryData<string, string> Both => [.. Families.All.Keys.Select(model => ("torch", model)), .. Computed.Append("llama, adapter").Select(model => ("vector", model))];

    /// <summary>The families that the vector decoder computes.</summary>
    private static IEnumerable<string> Computed => Families.All.Where(model => model.Value.Latent is null && model.Value.Experts is null).Select(model => model.Key);

    [Theory]
    [MemberData(nameof(Both))]
    public void Greedy_tokens_are_those_of_the_full_forward_pass(string decoder, string name)
    {
        using var model = Model(name, 5);
        using var engine = new Engine(Decoder(decoder, model), 8);
        var prompts = Prompts(model, 5);
        var sequences = prompts.Select(prompt => engine.Add(new GenerationRequest(prompt, 40, SamplingOptions.Greedy, [], [0]))[0]).ToArray();
        Finish(engine);
        for (var i = 0; i < prompts.Length; i++)
        {
            var tokens = prompts[i].Concat(sequences[i].Tokens).ToArray();
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var batch = TokenBatch.Create([new TokenRow(tokens, 1)]);
            var best = model.Logits(model.Hidden(batch).select(0, 0)).argmax(-1).data<long>().ToArray();
            Assert.Equal(best[(prompts[i].Length - 1)..^1].Select(token => (int)token), sequences[i].Tokens);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void Log_probabilities_are_the_trainer_s(string decoder, string name)
    {
        using var model = Model(name, 6);
        using var engine = new Engine(Decoder(decoder, model), 20);
        var sampling = new SamplingOptions { Temperature = 0.7, TopP = 0.9 };
        var sequences = Prompts(model, 6).SelectMany((prompt, i) => engine.Add(new GenerationRequest(prompt, 50, sampling, [3, 4, 5], [(ulong)i, 100 + (ulong)i, 200 + (ulong)i, 300 + (ulong)i]))).ToArray();
        Finish(engine);
        Assert.Contains(sequences, sequence => sequence.FinishReason == "stop");
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create([.. sequences.Select(sequence => new TokenRow([.. sequence.Request.Prompt, .. sequence.Tokens], sequence.Request.Prompt.Length))]);
        var (expected, _) = LogProbs.Of(model, model.Hidden(batch), batch, 0.7);
        var actual = sequences.SelectMany(sequence => sequence.LogProbs).ToArray();
        var all = expected.data<float>().ToArray();
        Assert.Equal(all.Length, actual.Length);
        for (var i = 0; i < all.Length; i++) Assert.Equal(all[i], actual[i], 1e-4);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_crowd_that_comes_and_goes_changes_nothing(string decoder, string name)
    {
        using var model = Model(name, 7);
        var prompts = Prompts(model, 30);
        GenerationRequest Request(int i) => new(prompts[i], 10 + (i * 7 % 40), new SamplingOptions(), [2], [(ulong)i, 1000 + (ulong)i]);
        using var alone = new Engine(Decoder(decoder, model), 1);
        using var crowd = new Engine(Decoder(decoder, model), 21);
        var pairs = new List<(Sequence Alone, Sequence Crowded)>();
        for (var i = 0; i < prompts.Length; i++)
        {
            pairs.AddRange(alone.Add(Request(i)).Zip(crowd.Add(Request(i))));
            if (i % 3 == 0) crowd.Step();
        }
        crowd.Remove(pairs[0].Crowded);
        Finish(alone);
        Finish(crowd);
        foreach (var (one, other) in pairs.Skip(1))
        {
            Assert.Equal(one.Tokens, other.Tokens);
            foreach (var (a, b) in one.LogProbs.Zip(other.LogProbs)) Assert.Equal(a, b, decoder == "vector" ? 0 : 1e-4);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_shared_prompt_changes_nothing(string decoder, string name)
    {
        using var model = Model(name, 8);
        var runs = new[] { true, false }.Select(share =>
        {
            using var engine = new Engine(Decoder(decoder, model), 8, share);
            var sequences = Prompts(model, 3).SelectMany(prompt => engine.Add(new GenerationRequest(prompt, 30, new SamplingOptions(), [2], [1, 2, 3, 4]))).ToArray();
            Finish(engine);
            return (sequences, engine.PrefilledTokens);
        }).ToArray();
        Assert.True(runs[0].PrefilledTokens < runs[1].PrefilledTokens);
        foreach (var (one, other) in runs[0].sequences.Zip(runs[1].sequences))
        {
            Assert.Equal(other.Tokens, one.Tokens);
            foreach (var (a, b) in one.LogProbs.Zip(other.LogProbs)) Assert.Equal(a, b, 1e-4);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_changed_weight_shows_at_once_and_tensors_do_not_pile_up(string decoder, string name)
    {
        using var model = Model(name, 9);
        using var engine = new Engine(Decoder(decoder, model), 4);
        float[] First()
        {
            var sequence = engine.Add(new GenerationRequest([1, 2, 3], 30, SamplingOptions.Greedy, [], [0]))[0];
            Finish(engine);
            return [.. sequence.LogProbs];
        }

        var before = First();
        // What earlier tests left to the finalizers does not count here.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        var count = Tensor.TotalCount;
        Assert.Equal(before, First());
        using (no_grad()) model["model.norm.weight"].mul_(1.5f);
        Assert.NotEqual(before, First());
        Assert.Equal(count, Tensor.TotalCount);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public void A_long_prompt_and_a_full_context_are_computed_whole(string decoder, string name)
    {
        using var model = Model(name, 10);
        var most = model.Config.MaxPositions;
        var prompt = Enumerable.Range(0, most - 20).Select(i => i * 13 % model.Config.VocabularySize).ToArray();
        using var engine = new Engine(Decoder(decoder, model), 3);
        var sequences = new[] { engine.Add(new GenerationRequest(prompt, 20, SamplingOptions.Greedy, [], [0]))[0], engine.Add(new GenerationRequest([7], 90, SamplingOptions.Greedy, [], [0]))[0] };
        Finish(engine);
        foreach (var sequence in sequences)
        {
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var batch = TokenBatch.Create([new TokenRow([.. sequence.Request.Prompt, .. sequence.Tokens], sequence.Request.Prompt.Length)]);
            var expected = LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.data<float>().ToArray();
            Assert.Equal(expected.Length, sequence.LogProbs.Count);
            for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], sequence.LogProbs[i], 1e-4);
        }
    }

    [Theory]
    [MemberData(nameof(ModelCase.Folders), MemberType = typeof(ModelCase))]
    public void Published_shapes_give_the_reference_s_greedy_tokens(string folder)
    {
        using var reference = new ModelCase(folder);
        using var model = CausalLm.Load(folder);
        var expected = reference.Figures.GetProperty("greedy_batch").EnumerateArray().Select(row => row.EnumerateArray().Select(token => token.GetInt32()).ToArray()).ToArray();
        foreach (var decoder in new[] { "torch", "vector" }.Where(decoder => decoder == "torch" || model.Config.Latent is null))
        {
            using var engine = new Engine(Decoder(decoder, model), 2);
            var sequences = reference.Tokens.Select((prompt, i) => engine.Add(new GenerationRequest(prompt, expected[i].Length, SamplingOptions.Greedy, [], [0]))[0]).ToArray();
            Finish(engine);
            Assert.Equal(expected, sequences.Select(sequence => sequence.Tokens.ToArray()));
        }
    }

    [Fact]
    public void Latent_attention_and_experts_are_left_to_libtorch()
    {
        using var model = CausalLm.Create(Families.DeepSeek, 1);
        Assert.False(VectorDecoder.Supports(model));
        using var decoder = Decoders.For(model);
        Assert.IsType<TorchDecoder>(decoder);
    }

    /// <summary>bf16 keeps eight bits of a weight and of a state: log-probabilities of these models stay within this of the trainer's in fp32.</summary>
    private const double BFloat16Bound = 0.05;

    [Theory]
    [MemberData(nameof(Names))]
    public void Bf16_stays_within_its_bound_is_the_same_in_a_crowd_and_follows_an_update(string name)
    {
        using var model = Model(name, 6);
        var prompts = Prompts(model, 6);
        float[] Checked()
        {
            using var engine = new Engine(Decoder("bf16", model), 24);
            var sequences = prompts.SelectMany((prompt, i) => engine.Add(new GenerationRequest(prompt, 50, new SamplingOptions(), [3], [(ulong)i, 100 + (ulong)i, 200 + (ulong)i]))).ToArray();
            Finish(engine);
            using var scope = NewDisposeScope();
            using var noGradient = no_grad();
            using var batch = TokenBatch.Create([.. sequences.Select(sequence => new TokenRow([.. sequence.Request.Prompt, .. sequence.Tokens], sequence.Request.Prompt.Length))]);
            var expected = LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.data<float>().ToArray();
            var actual = sequences.SelectMany(sequence => sequence.LogProbs).ToArray();
            Assert.InRange(expected.Zip(actual).Max(pair => Math.Abs(pair.First - pair.Second)), 1e-6, BFloat16Bound);
            using var single = new Engine(Decoder("bf16", model), 1);
            var one = single.Add(new GenerationRequest(prompts[2], 50, new SamplingOptions(), [3], [2]))[0];
            Finish(single);
            Assert.Equal(sequences[6].Tokens, one.Tokens);
            Assert.Equal(sequences[6].LogProbs, one.LogProbs);
            return actual;
        }

        var before = Checked();
        using (no_grad()) model["model.layers.0.mlp.down_proj.weight"].mul_(-1);
        Assert.NotEqual(before, Checked());
    }

    [Fact]
    public void Bf16_copies_are_made_anew_when_the_engine_is_told_of_an_update()
    {
        using var model = Model("llama", 9);
        using var engine = new Engine(Decoder("bf16", model), 4);
        float[] First()
        {
            var sequence = engine.Add(new GenerationRequest([1, 2, 3], 20, SamplingOptions.Greedy, [], [0]))[0];
            Finish(engine);
            return [.. sequence.LogProbs];
        }

        var before = First();
        using (no_grad()) model["model.layers.0.mlp.down_proj.weight"].mul_(-1);
        Assert.Equal(before, First());
        engine.WeightsChanged();
        Assert.NotEqual(before, First());
    }

    internal static IDecoder Decoder(string name, CausalLm model)
    {
        if (name == "torch") return new TorchDecoder(model);
        if (name == "bf16")
        {
            Assert.SkipUnless(VectorDecoder.SupportsBFloat16, "This processor has no bf16 instructions, or the kernels were not built.");
            return new VectorDecoder(model, threads: 2, bfloat16: true);
        }
        Assert.SkipUnless(VectorDecoder.Supports(model), "This processor has no vectors.");
        return new VectorDecoder(model, threads: 2);
    }

    /// <summary>A model of a family; "..., adapter" has an adapter that changes what it says.</summary>
    internal static CausalLm Model(string name, long seed)
    {
        if (!name.EndsWith(", adapter", StringComparison.Ordinal)) return Families.Create(name, seed);
        var model = Families.Create(name[..^", adapter".Length], seed);
        var options = (SftOptions)StageOptions.Parse("sft", StageHarness.Json("""{"model":"m","dataset":"d","adapter":{"r":5,"lora_alpha":7,"target_modules":"all-linear"}}"""));
        var adapter = Adapter.Create(options.Adapter!, model, "m", seed);
        var random = DerivedRandom.For(seed, "B");
        foreach (var (_, map) in adapter.Maps) foreach (ref var weight in MemoryMarshal.Cast<byte, float>(map.B.bytes)) weight = (float)random.NextGaussian() / 20;
        model.Attach(adapter);
        return model;
    }

    internal static int[][] Prompts(CausalLm model, int count) => [.. Enumerable.Range(0, count).Select(i =>
    {
        var random = DerivedRandom.For(3, "prompts", 0, i);
        return Enumerable.Range(0, random.Next(1, 24)).Select(_ => random.Next(0, model.Config.VocabularySize)).ToArray();
    })];

    internal static void Finish(Engine engine)
    {
        while (!engine.Idle) engine.Step();
    }
}
