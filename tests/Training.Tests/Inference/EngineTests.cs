using Gradus.Training.Inference;
using Xunit;

namespace Gradus.Training.Tests.Inference;

public sealed class EngineTests
{
    [Fact]
    public void A_sequence_alone_is_the_same_in_a_crowd_that_comes_and_goes()
    {
        var alone = Run(new Engine(new CountingDecoder(), 1), Request([1, 2, 3], 20, 7));
        var engine = new Engine(new CountingDecoder(), 5);
        var others = Enumerable.Range(0, 12).Select(i => Request([4, (5 + i) % 32], 1 + i, 100 + (ulong)i)).ToArray();
        foreach (var other in others[..6]) engine.Add(other);
        var sequence = engine.Add(Request([1, 2, 3], 20, 7))[0];
        for (var i = 0; i < 8; i++) engine.Step();
        foreach (var other in others[6..]) engine.Add(other);
        while (!engine.Idle) engine.Step();
        Assert.Equal(alone[0].Tokens, sequence.Tokens);
        Assert.Equal(alone[0].LogProbs, sequence.LogProbs);
    }

    [Fact]
    public void A_shared_prompt_is_computed_once_and_changes_nothing()
    {
        var (shared, apart) = (new CountingDecoder(), new CountingDecoder());
        var request = Request([1, 2, 3, 4], 10, 1, 2, 3, 4, 5, 6);
        var one = Run(new Engine(shared, 8), request);
        var other = Run(new Engine(apart, 8, sharePrefix: false), request);
        Assert.Equal((1, 6), (shared.Prompts, apart.Prompts));
        Assert.Equal(other.Select(sequence => sequence.Tokens), one.Select(sequence => sequence.Tokens));
        Assert.Equal(6, one.Select(sequence => string.Join(' ', sequence.Tokens)).Distinct().Count());
    }

    [Fact]
    public void What_does_not_fit_waits_its_turn_and_takes_the_prompt_from_one_that_still_runs()
    {
        var decoder = new CountingDecoder();
        var engine = new Engine(decoder, 3);
        var sequences = engine.Add(Request([1, 2], 6, 1, 2, 3, 4, 5)).Concat(engine.Add(Request([3], 9, 6))).ToArray();
        engine.Step();
        Assert.Equal((3, 3), (engine.Running, engine.Waiting));
        while (!engine.Idle) engine.Step();
        Assert.All(decoder.Batches, count => Assert.InRange(count, 1, 3));
        var free = Run(new Engine(new CountingDecoder(), 6), Request([1, 2], 6, 1, 2, 3, 4, 5));
        Assert.Equal(free.Select(sequence => sequence.Tokens), sequences[..5].Select(sequence => sequence.Tokens));
        Assert.Equal(9, sequences[5].Tokens.Count);
        Assert.Equal(3, engine.PeakRunning);

        // One of three ends first: the fourth takes its place and copies the prompt of one that goes on.
        decoder = new CountingDecoder();
        engine = new Engine(decoder, 3);
        var group = engine.Add(Request([1, 2], 6, 1, 2, 3, 4));
        engine.Step();
        engine.Step();
        engine.Remove(group[0]);
        while (!engine.Idle) engine.Step();
        Assert.Equal(1, decoder.Prompts);
        Assert.Equal(free[3].Tokens, group[3].Tokens);
    }

    [Fact]
    public void An_end_token_ends_its_sequence_is_its_last_and_has_a_log_probability()
    {
        var request = Request([5, 6], 30, 1, 2, 3, 4, 5, 6, 7, 8) with { EndTokens = [3, 9, 11, 20] };
        var sequences = Run(new Engine(new CountingDecoder(), 4), request);
        Assert.Contains(sequences, sequence => sequence.FinishReason == "stop");
        foreach (var sequence in sequences)
        {
            Assert.Equal(sequence.Tokens.Count, sequence.LogProbs.Count);
            var end = sequence.Tokens.Select((token, i) => (token, i)).Where(one => request.EndTokens.Contains(one.token)).Select(one => one.i + 1).ToArray();
            Assert.Equal(sequence.FinishReason == "stop" ? [sequence.Tokens.Count] : [], end);
            if (sequence.FinishReason == "length") Assert.Equal(30, sequence.Tokens.Count);
        }
    }

    [Fact]
    public void One_token_comes_from_the_prompt_alone()
    {
        var decoder = new CountingDecoder();
        var sequence = Run(new Engine(decoder, 4), Request([5, 6], 1, 3))[0];
        Assert.Single(sequence.Tokens);
        Assert.Equal("length", sequence.FinishReason);
        Assert.Empty(decoder.Batches);
    }

    [Fact]
    public void A_sequence_taken_out_frees_its_place_at_once_and_disturbs_nobody()
    {
        var expected = Run(new Engine(new CountingDecoder(), 9), Request([1], 12, 1, 2, 3, 4));
        var engine = new Engine(new CountingDecoder(), 3);
        var sequences = engine.Add(Request([1], 12, 1, 2, 3, 4));
        engine.Step();
        engine.Step();
        engine.Remove(sequences[0]);
        Assert.Equal(2, engine.Running);
        engine.Remove(sequences[0]);
        engine.Step();
        Assert.Equal((3, 0), (engine.Running, engine.Waiting));
        while (!engine.Idle) engine.Step();
        Assert.Null(sequences[0].FinishReason);
        Assert.Equal(2, sequences[0].Tokens.Count);
        for (var i = 1; i < 4; i++) Assert.Equal(expected[i].Tokens, sequences[i].Tokens);
        var waiting = engine.Add(Request([1], 4, 1))[0];
        engine.Remove(waiting);
        Assert.True(engine.Idle);
    }

    [Fact]
    public void The_key_decides_the_draws()
    {
        var first = Run(new Engine(new CountingDecoder(), 4), Request([1, 2], 16, 5, 6, 5));
        Assert.Equal(first[0].Tokens, first[2].Tokens);
        Assert.NotEqual(first[0].Tokens, first[1].Tokens);
        var logits = new float[32];
        CountingDecoder.Fill([1, 2], logits);
        Assert.Equal(new Sampler(32).Sample(logits, new SamplingOptions(), [], [], DerivedRandom.At(5, 0)).Token, first[0].Tokens[0]);
        CountingDecoder.Fill([1, 2, first[0].Tokens[0]], logits);
        Assert.Equal(new Sampler(32).Sample(logits, new SamplingOptions(), [], [], DerivedRandom.At(5, 1)).Token, first[0].Tokens[1]);
    }

    [Fact]
    public void What_the_model_cannot_generate_is_refused_before_anything_runs()
    {
        var engine = new Engine(new CountingDecoder(maxPositions: 10), 2);
        string? Refused(GenerationRequest request) => Assert.Throws<InvalidInputException>(() => engine.Add(request)).Parameter;
        Assert.Equal("prompt", Refused(Request([], 1, 1)));
        Assert.Equal("prompt", Refused(Request([32], 1, 1)));
        Assert.Equal("max_tokens", Refused(Request([1], 0, 1)));
        Assert.Equal("max_tokens", Refused(Request([1, 2], 9, 1)));
        Assert.Equal("n", Refused(Request([1, 2], 8)));
        Assert.Equal("temperature", Refused(Request([1], 1, 1) with { Sampling = new SamplingOptions { Temperature = -1 } }));
        Assert.True(engine.Idle);
        Assert.Equal(8, Run(engine, Request([1, 2], 8, 1))[0].Tokens.Count);
    }

    private static GenerationRequest Request(int[] prompt, int tokens, params ulong[] keys) => new(prompt, tokens, new SamplingOptions(), [], keys);

    private static IReadOnlyList<Sequence> Run(Engine engine, GenerationRequest request)
    {
        var sequences = engine.Add(request);
        while (!engine.Idle) engine.Step();
        return sequences;
    }
}
