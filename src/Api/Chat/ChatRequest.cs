using System.Text.Json;
using Gradus.Training;
using Gradus.Training.Inference;

namespace Gradus.Api.Chat;

/// <summary>A chat as it was asked for, every number in its bounds. <see cref="ChatRequestReader"/> makes it.</summary>
/// <param name="Messages">A list of {role, content}; content is text (parts are joined) or, in a message with tool calls, empty.</param>
/// <param name="MaxTokens">Null: as many as the context leaves.</param>
/// <param name="TopLogProbs">Null: no log-probabilities; else how many besides the sampled one.</param>
/// <param name="TemplateArguments">More variables for the chat template: <c>{"enable_thinking": false}</c>.</param>
/// <param name="Ignored">Fields that mean nothing here.</param>
internal sealed record ChatRequest(
    string Model, JsonElement Messages, bool ContinueFinalMessage, int? MaxTokens, SamplingOptions Sampling, IReadOnlyList<string> Stop, int Count, long? Seed,
    bool Stream, bool IncludeUsage, int? TopLogProbs, IReadOnlyList<string> Ignored, JsonElement? TemplateArguments = null);
