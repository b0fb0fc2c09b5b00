using System.Runtime.InteropServices;

namespace Gradus.Training.Inference;

/// <summary>One completion as it grows. Read it between steps of its engine, on the engine's thread.</summary>
public sealed class Sequence
{
    private readonly List<int> tokens = [];
    private readonly List<float> logProbs = [];
    private readonly List<TokenLogProb[]> top = [];

    internal Sequence(GenerationRequest request, int index) => (Request, Index) = (request, index);

    public GenerationRequest Request { get; }

    /// <summary>Which of the request's keys.</summary>
    public int Index { get; }

    public ulong Key => Request.Keys[Index];

    /// <summary>The sampled tokens; where an end token was sampled it is the last.</summary>
    public IReadOnlyList<int> Tokens => tokens;

    /// <summary>The log-probability of each of <see cref="Tokens"/>, of logits / temperature before bias, penalties and filters (at temperature 0: of the logits).</summary>
    public IReadOnlyList<float> LogProbs => logProbs;

    /// <summary>For each of <see cref="Tokens"/> the likeliest tokens, best first, where the request asks for them; else empty.</summary>
    public IReadOnlyList<TokenLogProb[]> Top => top;

    /// <summary>Null while it runs or waits; <c>stop</c> (an end token) or <c>length</c> after.</summary>
    public string? FinishReason { get; private set; }

    /// <summary>Tokens of the prompt that were not computed for it, as they stood in the cache; set when it begins to run.</summary>
    public int CachedTokens { get; internal set; }

    /// <summary>Which of all that came to its engine.</summary>
    internal long Order { get; set; }

    /// <summary>Its place in the decoder's cache, or -1 where it waits or has left.</summary>
    internal int Slot { get; set; } = -1;

    /// <summary>What follows the prompt, [vocabulary]; kept while it runs, for those of its request that still wait.</summary>
    internal float[]? PromptLogits { get; set; }

    internal ReadOnlySpan<int> TokenSpan => CollectionsMarshal.AsSpan(tokens);

    internal void Append(SampledToken sampled)
    {
        tokens.Add(sampled.Token);
        logProbs.Add(sampled.LogProb);
        if (sampled.Top is not null) top.Add(sampled.Top);
        FinishReason = Request.EndTokens.Contains(sampled.Token) ? "stop" : tokens.Count >= Request.MaxNewTokens ? "length" : null;
    }
}

/// <summary>A token and its log-probability.</summary>
public readonly record struct TokenLogProb(int Token, float LogProb);

/// <summary>What one draw gave. <paramref name="Top"/> is null where it was not asked for.</summary>
public readonly record struct SampledToken(int Token, float LogProb, TokenLogProb[]? Top = null);
