using Gradus.Training.Inference;
using Gradus.Training.Model;
using Xunit;

namespace Gradus.Training.Tests.Inference;

/// <summary>What requests begin with alike is computed once, and nobody's numbers change by it.</summary>
public sealed class PrefixCacheTests
{
    public static TheoryData<string, string> Each => [.. DecoderTests.Names.SelectMany(name => new[] { ("vector", name.Data), ("bf16", name.Data) }), ("vector", "llama, adapter")];

    [Theory]
    [MemberData(nameof(Each))]
    public void A_second_turn_computes_only_what_is_new_and_draws_the_same(string decoder, string name)
    {
        using var model = DecoderTests.Model(name, 11);
        using var engine = new Engine(DecoderTests.Decoder(decoder, model), 4);
        var first = Run(engine, Request([.. Enumerable.Range(3, 21)], 20, 1));
        Assert.Equal((0, 21, 0), (first.CachedTokens, engine.PrefilledTokens, engine.CachedTokens));
        // 21 + 19 positions are in the cache: the last token was drawn and not computed.
        int[] prompt = [.. first.Request.Prompt, .. first.Tokens, 5, 6, 7];
        var second = Run(engine, Request(prompt, 40, 2));
        Assert.Equal((32, 21 + 44 - 32, 32), (second.CachedTokens, engine.PrefilledTokens, engine.CachedTokens));
        AssertSame(Alone(decoder, model, second.Request), second);

        // The same again: at least one token is computed, and so the last page.
        AssertSame(second, Run(engine, second.Request));
        Assert.Equal(21 + 12 + 12, engine.PrefilledTokens);
        // To the end of a page, where nothing would be left to be computed.
        var whole = Run(engine, Request(prompt[..32], 8, 3));
        Assert.Equal(16, whole.CachedTokens);
        AssertSame(Alone(decoder, model, whole.Request), whole);
    }

    [Theory]
    [MemberData(nameof(Each))]
    public void Requests_of_one_step_share_what_none_has_computed_yet(string decoder, string name)
    {
        using var model = DecoderTests.Model(name, 12);
        int[] few = [.. Enumerable.Range(1, 35)], longer = [.. few, .. Enumerable.Range(7, 20)];
        // Among them one of which others begin with more, strangers between, and two that are equal.
        int[][] prompts =
        [
            [.. Enumerable.Range(20, 30)], [.. few, 1], [.. longer, 2, 3], [.. few, 4], [.. Enumerable.Range(9, 40)], [.. longer, 9, 9, 9], [.. few, 1], [.. longer], [9, 8, 7], [.. Enumerable.Range(10, 40)],
        ];
        using var engine = new Engine(DecoderTests.Decoder(decoder, model), 30);
        var all = prompts.SelectMany((prompt, i) => engine.Add(Request(prompt, 20, 10 + (ulong)i, 50 + (ulong)i))).ToArray();
        DecoderTests.Finish(engine);
        Assert.Equal([0, 0, 32, 32, 0, 48, 32, 48, 0, 0], all.Where(sequence => sequence.Index == 0).Select(sequence => sequence.CachedTokens));
        Assert.Equal(prompts.Sum(prompt => prompt.Length) - (32 + 32 + 48 + 32 + 48), engine.PrefilledTokens);
        Assert.Equal((2 * prompts.Sum(prompt => prompt.Length)) - engine.PrefilledTokens, engine.CachedTokens);
        foreach (var sequence in all) AssertSame(Alone(decoder, model, sequence.Request with { Keys = [sequence.Key] }), sequence);
    }

    [Fact]
    public void Two_that_write_the_same_at_the_same_time_keep_it_once()
    {
        using var model = DecoderTests.Model("llama", 13);
        using var engine = new Engine(DecoderTests.Decoder("vector", model), 4);
        // Different requests, the same key: from the third page on both write what the other does.
        var pair = new[] { 7, 7 }.Select(key => engine.Add(Request([.. Enumerable.Range(1, 20)], 60, (ulong)key))[0]).ToArray();
        DecoderTests.Finish(engine);
        AssertSame(pair[0], pair[1]);
        // 79 positions are 5 pages, and both had a last one of their own while it filled.
        Assert.InRange(engine.PeakCacheBytes, 0, 6 * BytesOfPage(model));
    }

    [Theory]
    [InlineData("vector")]
    [InlineData("bf16")]
    public void New_weights_drop_all(string decoder)
    {
        using var model = DecoderTests.Model("qwen3", 14);
        using var engine = new Engine(DecoderTests.Decoder(decoder, model), 4);
        var request = Request([.. Enumerable.Range(1, 40)], 10, 1);
        var before = Run(engine, request);
        using (TorchSharp.torch.no_grad()) model["model.layers.0.mlp.down_proj.weight"].mul_(-1);
        engine.WeightsChanged();
        var after = Run(engine, request);
        Assert.Equal(0, after.CachedTokens);
        Assert.NotEqual(before.LogProbs, after.LogProbs);
        AssertSame(Alone(decoder, model, request), after);
        engine.Add(request);
        engine.Step();
        Assert.Throws<InvalidOperationException>(() => engine.WeightsChanged());
    }

    [Fact]
    public void Libtorch_s_slots_share_within_a_request_alone()
    {
        using var model = DecoderTests.Model("llama", 11);
        using var engine = new Engine(DecoderTests.Decoder("torch", model), 4);
        var request = Request([.. Enumerable.Range(3, 40)], 10, 1, 2, 3);
        Run(engine, request);
        Assert.Equal((40, 80), (engine.PrefilledTokens, engine.CachedTokens));
        Run(engine, request with { Keys = [1] });
        Assert.Equal((80, 80), (engine.PrefilledTokens, engine.CachedTokens));
    }

    internal static GenerationRequest Request(int[] prompt, int tokens, params ulong[] keys) => new(prompt, tokens, new SamplingOptions(), [], keys);

    /// <summary>The request's first sequence, with nobody beside it and nothing shared.</summary>
    internal static Sequence Alone(string decoder, CausalLm model, GenerationRequest request)
    {
        using var engine = new Engine(DecoderTests.Decoder(decoder, model), 1, sharePrefix: false);
        return Run(engine, request);
    }

    /// <summary>Token for token, bit for bit.</summary>
    internal static void AssertSame(Sequence expected, Sequence actual)
    {
        Assert.Equal(expected.Tokens, actual.Tokens);
        Assert.Equal(expected.LogProbs, actual.LogProbs);
        Assert.Equal(expected.FinishReason, actual.FinishReason);
    }

    internal static long BytesOfPage(CausalLm model)
    {
        using var decoder = DecoderTests.Decoder("vector", model);
        return decoder.BytesOf(1);
    }

    private static Sequence Run(Engine engine, GenerationRequest request)
    {
        var sequence = engine.Add(request)[0];
        DecoderTests.Finish(engine);
        return sequence;
    }
}
