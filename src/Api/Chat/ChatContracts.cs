using System.Text.Json.Serialization;

namespace Gradus.Api.Chat;

/// <summary>An answer, as OpenAI shapes it.</summary>
internal sealed record ChatCompletion(string Id, long Created, string Model, IReadOnlyList<ChatChoice> Choices, ChatUsage Usage)
{
    [JsonPropertyOrder(-1)]
    public string Object { get; } = "chat.completion";
}

/// <param name="FinishReason"><c>stop</c>: an end token or a stop text; <c>length</c>: no more tokens were allowed.</param>
internal sealed record ChatChoice(int Index, ChatMessage Message, ChatLogProbs? Logprobs, string FinishReason);

/// <param name="Content">The answer alone; empty while the reasoning is not closed.</param>
/// <param name="ReasoningContent">What the model wrote in its think tags; null where it has none.</param>
/// <param name="Reasoning">The same, under its other usual name.</param>
internal sealed record ChatMessage(string Content, string? ReasoningContent, string? Reasoning)
{
    [JsonPropertyOrder(-1)]
    public string Role { get; } = "assistant";

    public string? Refusal { get; }
}

/// <summary>One event of a streamed answer.</summary>
/// <param name="Usage">In the last event, where it was asked for.</param>
internal sealed record ChatChunk(
    string Id, long Created, string Model, IReadOnlyList<ChatChunkChoice> Choices,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] ChatUsage? Usage)
{
    [JsonPropertyOrder(-1)]
    public string Object { get; } = "chat.completion.chunk";
}

internal sealed record ChatChunkChoice(int Index, ChatDelta Delta, ChatLogProbs? Logprobs, string? FinishReason);

/// <summary>What is new; a field that says nothing is left out.</summary>
internal sealed record ChatDelta(
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Role,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Content,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? ReasoningContent,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? Reasoning);

internal sealed record ChatLogProbs(IReadOnlyList<ChatTokenLogProb> Content)
{
    public object? Refusal { get; }
}

/// <param name="Logprob">Of the logits over the temperature, before any filter or penalty.</param>
/// <param name="Bytes">The token's text in UTF-8.</param>
internal sealed record ChatTokenLogProb(
    string Token, double Logprob, IReadOnlyList<int> Bytes,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<ChatTokenLogProb>? TopLogprobs);

/// <param name="CompletionTokens">Over all choices, end tokens included.</param>
internal sealed record ChatUsage(int PromptTokens, int CompletionTokens, int TotalTokens, ChatPromptDetails PromptTokensDetails, ChatCompletionDetails CompletionTokensDetails);

/// <param name="CachedTokens">Of the prompt: they stood in the cache, from an earlier chat that began alike, and were not computed again.</param>
internal sealed record ChatPromptDetails(int CachedTokens);

internal sealed record ChatCompletionDetails(int ReasoningTokens);

/// <summary>What chat does just now.</summary>
internal sealed record ChatStatus(IReadOnlyList<ChatModelStatus> Models);

/// <summary>A model that is loaded for chat; counts are since then.</summary>
/// <param name="Kernel">What it computes by: <c>AVX-512 fp32</c>, <c>AVX2 fp32</c>, <c>portable fp32</c>, <c>AVX512_BF16</c> or <c>libtorch</c>.</param>
/// <param name="Running">Answers that are computed at once; <c>n</c> of one request are n.</param>
/// <param name="Waiting">Answers in line for a place or for room in the cache.</param>
/// <param name="ComputedTokens">Tokens of prompts that were computed.</param>
/// <param name="CachedTokens">Tokens of prompts that stood in the cache.</param>
/// <param name="PutBack">How often an answer under way had to wait, as the cache was full.</param>
/// <param name="CacheBytes">The cache's bound (Gradus:ChatCacheMb).</param>
/// <param name="PeakCacheBytes">The most that it took.</param>
internal sealed record ChatModelStatus(
    string Model, string Kernel, int Running, int Waiting, int PeakRunning, long ComputedTokens, long CachedTokens, long SampledTokens, long PutBack, long CacheBytes, long PeakCacheBytes);

/// <summary>The fields that are read, for Swagger; <see cref="ChatRequestReader"/> reads them, leniently where OpenAI's clients are.</summary>
/// <param name="Model">A finished model's id or alias.</param>
/// <param name="Messages">A list of {role, content}.</param>
/// <param name="MaxTokens">At least 1; default what the context leaves. <c>max_completion_tokens</c> is the same and wins.</param>
/// <param name="Temperature">0 to 2; default 1; 0 is greedy.</param>
/// <param name="TopP">Above 0 to 1; default 1.</param>
/// <param name="Stop">A text or up to four.</param>
/// <param name="N">Answers, 1 to 128; default 1.</param>
/// <param name="Seed">The same seed gives the same answer; default a random one.</param>
/// <param name="PresencePenalty">-2 to 2; default 0.</param>
/// <param name="FrequencyPenalty">-2 to 2; default 0.</param>
/// <param name="LogitBias">By token id, -100 to 100.</param>
/// <param name="TopLogprobs">0 to 20, with logprobs.</param>
/// <param name="StreamOptions"><c>{"include_usage": true}</c>, with stream.</param>
/// <param name="ChatTemplateKwargs">An object with more variables for the chat template, <c>{"enable_thinking": false}</c>.</param>
/// <param name="ContinueFinalMessage">Goes on with the last message, which must be the assistant's.</param>
internal sealed record ChatRequestContract(
    string Model, IReadOnlyList<ChatRequestMessage> Messages, int? MaxTokens, int? MaxCompletionTokens, double? Temperature, double? TopP, int? TopK, double? MinP,
    System.Text.Json.JsonElement? Stop, int? N, long? Seed, double? PresencePenalty, double? FrequencyPenalty, double? RepetitionPenalty,
    IReadOnlyDictionary<string, double>? LogitBias, bool? Logprobs, int? TopLogprobs, bool? Stream, System.Text.Json.JsonElement? StreamOptions, bool? ContinueFinalMessage,
    System.Text.Json.JsonElement? ChatTemplateKwargs);

/// <param name="Role">system, developer, user, assistant or tool.</param>
internal sealed record ChatRequestMessage(string Role, string Content);
