using System.Diagnostics;
using System.Runtime.Intrinsics;
using Gradus.Training.Inference;
using Gradus.Training.Inference.Cpu;
using Gradus.Training.Model;
using Gradus.Training.Tests.Lora;
using Gradus.Training.Tests.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Gradus.Training.Tests.Inference;

/// <summary>
/// Eight sequences in one engine, each in one of its own, with their prompts shared and not, by libtorch, by our kernels in fp32 and in bf16, and the trainer: one set of numbers. Random weights are the
/// fixtures'; SmolLM2's are in <see cref="SmolLm2Tests"/>.
/// </summary>
public sealed class AgreementTests
{
    /// <summary>How far log-probabilities of one text may lie apart, in nats: in fp32 (measured: 1e-5, SmolLM2 5e-5), and with products in bf16 (0.06, SmolLM2 0.09).</summary>
    private const double Float32 = 1e-4, BFloat16 = 0.15;

    private const string Variable = "GRADUS_TEST_VECTORS";

    public static TheoryData<string> Folders => [.. ModelCase.Folders().Concat(AdapterParityTests.Folders())];

    [Theory, MemberData(nameof(Folders))]
    public void Eight_are_as_one_and_as_the_trainer_whoever_computes(string folder)
    {
        using var model = StoredModel.At(folder, id => Path.Combine(Path.GetDirectoryName(Path.GetDirectoryName(folder))!, "models", Path.GetFileName(id))).Load("cpu");
        Check(model, prompt: 24, tokens: 60);
    }

    /// <summary>The runtime computes 512 bits in two halves, or in four quarters, where the processor has no more, or is said to have no more: the same holds there, for all families.</summary>
    [Theory]
    [InlineData("DOTNET_EnableAVX512", 256)]
    [InlineData("DOTNET_EnableAVX2", 128)]
    public void Narrower_vectors_agree_as_well(string off, int bits)
    {
        Assert.SkipUnless(Vector512.IsHardwareAccelerated, "This processor has no 512-bit vectors: narrower ones are what all tests here compute with.");
        string[] tests = [$"{typeof(AgreementTests).FullName}.*", $"{typeof(AdapterDecodingTests).FullName}.*", $"{typeof(ProductTests).FullName}.*", $"{typeof(DecoderTests).FullName}.{nameof(DecoderTests.Log_probabilities_are_the_trainer_s)}"];
        using var child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["-noColor", "-noLogo", .. tests.SelectMany(name => new[] { "-method", name })])
        {
            RedirectStandardOutput = true,
            Environment = { [off] = "0", [Variable] = $"{bits}" },
        })!;
        var said = child.StandardOutput.ReadToEnd();
        child.WaitForExit();
        Assert.True(child.ExitCode == 0 && said.Contains("Failed: 0", StringComparison.Ordinal), said);
    }

    /// <summary>In the child of <see cref="Narrower_vectors_agree_as_well"/>: it has the vectors that it is to have.</summary>
    [Fact]
    public void Vectors_are_as_wide_as_this_process_was_told()
    {
        var told = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(told is null, "It was told nothing.");
        Assert.Equal(told, Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128");
    }

    /// <param name="prompt">Tokens of the longest prompt.</param>
    /// <param name="tokens">Tokens of each completion.</param>
    internal static void Check(CausalLm model, int prompt, int tokens)
    {
        // Two groups of three and two alone.
        GenerationRequest[] requests = [.. new[] { 3, 1, 3, 1 }.Select((rollouts, group) =>
        {
            var random = DerivedRandom.For(5, "prompts", 0, group);
            int[] ids = [.. Enumerable.Range(0, prompt - (group * prompt / 5)).Select(_ => random.Next(0, model.Config.VocabularySize))];
            return new GenerationRequest(ids, tokens, new SamplingOptions(), [], [.. Enumerable.Range(0, rollouts).Select(i => DerivedRandom.Key(5, "rollout", group, i))]);
        })];
        var reference = Alone(new TorchDecoder(model), requests);
        foreach (var (way, decoder, bound) in Decoders(model))
        {
            var runs = new[] { way == "libtorch" ? reference : Alone(decoder(), requests), Together(decoder(), requests, share: true), Together(decoder(), requests, share: false) };
            foreach (var (kind, run) in new[] { "alone", "together, shared", "together" }.Zip(runs))
            {
                var apart = reference.Zip(run).Count(pair => !Agree(model, pair.First, pair.Second, bound));
                TestContext.Current.TestOutputHelper?.WriteLine($"{way}, {kind}: {apart} of {run.Length} texts part from libtorch's alone");
                // Of one decoder's runs more is true: whatever it rounds, it rounds alike.
                foreach (var (one, other) in runs[0].Zip(run)) Agree(model, one, other, Float32);
                foreach (var (cut, trained) in Trained(model, run))
                {
                    var far = trained.Zip(run.SelectMany(sequence => sequence.LogProbs)).Max(pair => Math.Abs(pair.First - pair.Second));
                    TestContext.Current.TestOutputHelper?.WriteLine($"{way}, {kind}: {far:G3} from the trainer, {cut}");
                    Assert.InRange(far, 0, bound);
                }
            }
        }
    }

    private static IEnumerable<(string Way, Func<IDecoder> Decoder, double Bound)> Decoders(CausalLm model)
    {
        yield return ("libtorch", () => new TorchDecoder(model), Float32);
        if (!VectorDecoder.Supports(model)) yield break;
        yield return ("fp32", () => new VectorDecoder(model, threads: 2), Float32);
        if (VectorDecoder.SupportsBFloat16) yield return ("bf16", () => new VectorDecoder(model, threads: 2, bfloat16: true), BFloat16);
    }

    /// <summary>The log-probabilities are within the bound as far as the texts are the same; where they part, the draw lay within the bound of the border between the two tokens.</summary>
    /// <returns>Whether the texts are the same.</returns>
    private static bool Agree(CausalLm model, Sequence one, Sequence other, double bound)
    {
        Assert.Equal(one.Tokens.Count, other.Tokens.Count);
        var same = one.Tokens.Zip(other.Tokens).TakeWhile(pair => pair.First == pair.Second).Count();
        for (var i = 0; i < same; i++) Assert.Equal(one.LogProbs[i], other.LogProbs[i], bound);
        if (same == one.Tokens.Count) return true;
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using var batch = TokenBatch.Create([new TokenRow([.. one.Request.Prompt, .. one.Tokens.Take(same)], 1)]);
        var shares = model.Logits(model.Hidden(batch)[0, -1]).to(ScalarType.Float64).softmax(-1).data<double>().ToArray();
        var (low, high) = (Math.Min(one.Tokens[same], other.Tokens[same]), Math.Max(one.Tokens[same], other.Tokens[same]));
        var draw = DerivedRandom.At(one.Key, same);
        Assert.InRange(shares[..(low + 1)].Sum(), draw - bound, draw + bound);
        Assert.InRange(shares[..high].Sum(), draw - bound, draw + bound);
        return false;
    }

    /// <summary>The trainer's log-probabilities of what was sampled: each row alone, all in one batch, and those of a request in a line that has their prompt once.</summary>
    private static IEnumerable<(string Cut, float[] LogProbs)> Trained(CausalLm model, Sequence[] sequences)
    {
        TokenRow[] rows = [.. sequences.Select(sequence => new TokenRow([.. sequence.Request.Prompt, .. sequence.Tokens], sequence.Request.Prompt.Length))];
        yield return ("each alone", [.. rows.SelectMany(row => Score(model, TokenBatch.Create([row])))]);
        yield return ("all together", Score(model, TokenBatch.Create(rows)));
        yield return ("in shared lines", Score(model, TokenBatch.Share([.. rows.Zip(sequences).GroupBy(pair => pair.Second.Request).Select(line => line.Select(pair => pair.First).ToArray())])));
    }

    private static float[] Score(CausalLm model, TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        using var noGradient = no_grad();
        using (batch) return LogProbs.Of(model, model.Hidden(batch), batch).logProbs_N.data<float>().ToArray();
    }

    private static Sequence[] Together(IDecoder decoder, GenerationRequest[] requests, bool share)
    {
        using var engine = new Engine(decoder, 8, share);
        Sequence[] sequences = [.. requests.SelectMany(engine.Add)];
        while (!engine.Idle) engine.Step();
        Assert.Equal(8, engine.PeakRunning);
        return sequences;
    }

    /// <summary>One at a time, each a request of its own.</summary>
    private static Sequence[] Alone(IDecoder decoder, GenerationRequest[] requests)
    {
        using var engine = new Engine(decoder, 1);
        List<Sequence> sequences = [];
        foreach (var request in requests.SelectMany(request => request.Keys.Select(key => request with { Keys = [key] })))
        {
            sequences.AddRange(engine.Add(request));
            while (!engine.Idle) engine.Step();
        }
        return [.. sequences];
    }
}
