using System.Runtime.InteropServices;
using Gradus.Training.Inference;
using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Lora;

/// <summary>Decoders add B(Ax) to the maps: what they say is what the trainer computes, alone and in a batch, and follows the adapter's updates.</summary>
public sealed class AdapterDecodingTests
{
    public static TheoryData<string, int> Cases => [("torch", 4), ("vector", 1), ("vector", 4), ("vector", 20)];

    [Theory, MemberData(nameof(Cases))]
    public void A_batch_of_eight_says_what_eight_alone_say_and_the_trainer_computes(string decoder, int rank)
    {
        using var model = Adapted(rank);
        int[][] prompts = [.. Enumerable.Range(0, 8).Select(i => Enumerable.Range(1, 1 + (i * 2)).Select(token => (token * 7 % 48) + 1).ToArray())];
        var together = Decode(decoder, model, 8, prompts);
        var alone = prompts.SelectMany(prompt => Decode(decoder, model, 1, [prompt])).ToArray();
        for (var i = 0; i < prompts.Length; i++)
        {
            Assert.Equal(alone[i].Tokens, together[i].Tokens);
            Compare(Trained(model, together[i]), together[i]);
            Compare(Trained(model, alone[i]), alone[i]);
        }
        using var off = model.With(null);
        Assert.Contains(together, sequence => Trained(model, sequence).Zip(sequence.LogProbs).Any(pair => Math.Abs(pair.First - pair.Second) > 0.05));
    }

    [Theory, MemberData(nameof(Cases))]
    public void The_next_token_sees_an_update_of_the_adapter(string decoder, int rank)
    {
        using var model = Adapted(rank);
        using var engine = new Engine(Decoder(decoder, model), 2);
        var before = Run(engine, [[1, 2, 3]])[0];
        using (no_grad()) foreach (var (name, tensor) in model.Parameters) if (name.Contains("lora_B", StringComparison.Ordinal)) tensor.mul_(-2);
        engine.WeightsChanged();
        var after = Run(engine, [[1, 2, 3]])[0];
        Assert.NotEqual(before.LogProbs, after.LogProbs);
        Compare(Trained(model, after), after);
    }

    /// <summary>The tiny model with an adapter whose B is not zero.</summary>
    private static CausalLm Adapted(int rank)
    {
        var model = AdapterTests.With($$"""{"r":{{rank}},"lora_alpha":{{2 * rank}},"target_modules":"all-linear"}""", 7);
        var random = DerivedRandom.For(7, "B");
        foreach (var (_, map) in model.Adapter!.Maps) foreach (ref var weight in MemoryMarshal.Cast<byte, float>(map.B.bytes)) weight = (float)random.NextGaussian() / 10;
        return model;
    }

    private static Sequence[] Decode(string decoder, CausalLm model, int most, int[][] prompts)
    {
        using var engine = new Engine(Decoder(decoder, model), most);
        return Run(engine, prompts);
    }

    private static Sequence[] Run(Engine engine, int[][] prompts)
    {
        Sequence[] sequences = [.. prompts.Select(prompt => engine.Add(new GenerationRequest(prompt, 20, SamplingOptions.Greedy, [], [0]))[0])];
        while (!engine.Idle) engine.Step();
        return sequences;
    }

    private static IDecoder Decoder(string name, CausalLm model)
    {
        if (name == "torch") return new TorchDecoder(model);
        Assert.SkipUnless(VectorDecoder.Supports(model), "This processor has no vectors.");
        return new VectorDecoder(model, threads: 2);
    }

    private static float[] Trained(CausalLm model, Sequence sequence)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create([new TokenRow([.. sequence.Request.Prompt, .. sequence.Tokens], sequence.Request.Prompt.Length)]);
        return LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.data<float>().ToArray();
    }

    private static void Compare(float[] expected, Sequence sequence)
    {
        Assert.Equal(expected.Length, sequence.LogProbs.Count);
        for (var i = 0; i < expected.Length; i++) Assert.Equal(expected[i], sequence.LogProbs[i], 1e-4);
    }
}
