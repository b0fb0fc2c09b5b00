using System.Threading.Channels;
using Gradus.Training;
using Gradus.Training.Inference;
using Gradus.Training.Text;

namespace Gradus.Api.Chat;

/// <summary>One chat in the serve child: template, tokens, a place in the model's batch, text. It runs on the connection's task; the model's thread only computes.</summary>
internal sealed class ServeChat(ModelThread models, Func<ServeEvent, bool, ValueTask> send)
{
    /// <summary>Answers the request with a start, tokens and an end. Leaving early, by <paramref name="cancel"/> or a failed send, frees the place in the batch.</summary>
    /// <exception cref="InvalidInputException">The model cannot answer that.</exception>
    public async Task RunAsync(ServeRequest request, CancellationToken cancel)
    {
        var model = await models.Open(new(request.Folder, request.Base));
        try
        {
            var prompt = Encode(model, request);
            var generation = await models.Start(model, Generation(model, request, prompt.Tokens));
            try
            {
                await send(new ServeEvent("start") { PromptTokens = prompt.Tokens.Length, OpensReasoning = prompt.Opened.Length > 0 }, true);
                await SendTokensAsync(model, generation, request, cancel);
                await send(new ServeEvent("end"), true);
            }
            finally
            {
                await models.Cancel(model, generation);
            }
        }
        finally
        {
            await models.Close(model);
        }
    }

    private static EncodedPrompt Encode(ServedModel model, ServeRequest request)
    {
        if (model.Template is null) throw new InvalidInputException("The model has no chat template, so it cannot answer messages.", "model", "invalid_value");
        return new PromptEncoder(model.Tokenizer, model.Template).EncodeChat(request.Messages, request.ContinueFinalMessage, request.TemplateArguments);
    }

    private static GenerationRequest Generation(ServedModel model, ServeRequest request, int[] prompt)
    {
        var left = model.MaxPositions - prompt.Length;
        if (left < 1)
        {
            throw new InvalidInputException(
                $"The messages are {prompt.Length} tokens long; {model.Bound}, of which at least one is for the answer.", "messages", "context_length_exceeded");
        }
        if (request.MaxTokens > model.MaxPositions)
            throw new InvalidInputException($"max_tokens is {request.MaxTokens}; {model.Bound}.", "max_tokens", "out_of_range");
        var keys = Enumerable.Range(0, request.Count).Select(index => DerivedRandom.Key(request.Seed, "chat", 0, index)).ToArray();
        return new GenerationRequest(prompt, Math.Min(left, request.MaxTokens ?? left), request.Sampling ?? new SamplingOptions(), model.EndTokens, keys)
        {
            TopLogProbs = Math.Min(request.TopLogProbs ?? 0, model.VocabularySize),
        };
    }

    private async Task SendTokensAsync(ServedModel model, Generation generation, ServeRequest request, CancellationToken cancel)
    {
        var texts = Enumerable.Range(0, request.Count).Select(_ => new CompletionText(model.Tokenizer, request.Stop ?? [])).ToArray();
        while (await generation.Tokens.WaitToReadAsync(cancel))
        {
            while (generation.Tokens.TryRead(out var token))
            {
                var text = texts[token.Index];
                // Tokens that were on their way when the stop text came are not part of the answer.
                if (text.Stopped) continue;
                var piece = text.Push(token.Token);
                if (token.FinishReason is not null) piece += text.Flush();
                if (text.Stopped && token.FinishReason is null) await models.Cancel(model, generation, token.Index);
                await send(
                    new ServeEvent("token")
                    {
                        Index = token.Index,
                        Text = piece,
                        CachedTokens = generation.CachedTokens,
                        FinishReason = text.Stopped ? "stop" : token.FinishReason,
                        LogProb = request.TopLogProbs is null ? null : Named(model, new TokenLogProb(token.Token, token.LogProb)),
                        Top = request.TopLogProbs is null ? null : [.. token.Top.Select(one => Named(model, one))],
                    },
                    !generation.Tokens.TryPeek(out _));
            }
        }
    }

    private static ServeLogProb Named(ServedModel model, TokenLogProb one) => new(model.Tokenizer.Decode([one.Token]), one.LogProb);
}
