using System.Text.Json;
using Gradus.Training.Rewards;

namespace Gradus.Training.Text;

/// <summary>A prompt as text and as tokens.</summary>
/// <param name="Opened">The prompt's end that belongs to the completion: from a <c>&lt;think&gt;</c> on that it leaves open, as the templates of reasoning models
/// do; empty where there is none.</param>
public sealed record EncodedPrompt(string Text, int[] Tokens, string Opened)
{
    /// <summary>The prompt without what belongs to the completion.</summary>
    public string Shown => Text[..^Opened.Length];
}

/// <summary>A prompt with what is to be learned after it: <c>Tokens[FirstTarget..]</c> are predicted.</summary>
public sealed record EncodedExample(int[] Tokens, int FirstTarget);

/// <summary>
/// Rows to tokens, as TRL does: a string is tokenised as it is, a list of messages goes through the model's chat template. One belongs to one model's
/// folder; any number of threads may use it.
/// </summary>
/// <param name="template">Null for a model without one, which then takes strings alone.</param>
/// <param name="endToken">What ends a completion; null for none.</param>
public sealed class PromptEncoder(Tokenizer tokenizer, ChatTemplate? template, int? endToken = null)
{
    public Tokenizer Tokenizer => tokenizer;

    /// <summary>Tokenizer and template of a folder; the end token is the <c>eos_token</c> of its tokenizer_config.json.</summary>
    public static PromptEncoder Load(string folder)
    {
        var tokenizer = Tokenizer.Load(folder);
        return new PromptEncoder(tokenizer, ChatTemplate.Load(folder), ChatTemplateFiles.EndToken(folder) is { } end ? tokenizer.TokenId(end) : null);
    }

    /// <summary>
    /// A prompt for generation. Messages that end with the assistant's are continued, others get the generation prompt.
    /// </summary>
    /// <exception cref="InvalidInputException">It is neither a string nor a list of messages, it is empty, or the template refuses it.</exception>
    public EncodedPrompt Encode(JsonElement prompt, JsonElement? tools = null) => Checked(() => EncodePrompt(prompt, tools));

    /// <summary>
    /// A row for supervised learning: <c>{"prompt","completion"}</c>, both texts or both lists of messages; <c>{"messages"}</c>, whose last message is what is learned;
    /// or <c>{"text"}</c>, all of which is learned but its first token. A completion that does not end with the end token gets it.
    /// </summary>
    /// <exception cref="InvalidInputException">The row has none of these forms, or nothing to learn.</exception>
    public EncodedExample EncodeExample(JsonElement row) => Checked(() => Example(row));

    private EncodedPrompt EncodePrompt(JsonElement prompt, JsonElement? tools)
    {
        return prompt.ValueKind switch
        {
            JsonValueKind.String => Encoded(prompt.GetString()!, null),
            JsonValueKind.Array => Encoded(Render(prompt, true, tools), Continued(prompt)),
            _ => throw new InvalidInputException($"A prompt must be a text or a list of messages; it is {prompt.ValueKind}.", "prompt"),
        };
    }

    /// <param name="continued">The message that goes on in the completion; null where a new one begins.</param>
    private EncodedPrompt Encoded(string text, JsonElement? continued)
    {
        var tokens = tokenizer.Encode(text);
        return tokens.Length > 0 ? new EncodedPrompt(text, tokens, Opened(text, continued)) : throw new InvalidInputException("A prompt must have at least one token.", "prompt");
    }

    private static string Opened(string text, JsonElement? continued)
    {
        var at = text.LastIndexOf(ReasoningText.Think, StringComparison.Ordinal);
        if (at < 0) return "";
        var inside = text.AsSpan(at + ReasoningText.Think.Length);
        if (inside.IsWhiteSpace()) return text[at..];
        // A message that is continued may have reasoned already; what stands before it may speak of the tag.
        var own = continued is { } message && message.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String ? content.GetString()!.Length : 0;
        return at >= text.Length - own && !inside.Contains(ReasoningText.ThinkEnd, StringComparison.Ordinal) ? text[at..] : "";
    }

    private EncodedExample Example(JsonElement row)
    {
        if (row.ValueKind != JsonValueKind.Object) throw new InvalidInputException("A row must be an object.");
        var tools = row.TryGetProperty("tools", out var list) && list.ValueKind == JsonValueKind.Array ? list : (JsonElement?)null;
        if (row.TryGetProperty("messages", out var messages)) return Conversation(messages, tools);
        if (row.TryGetProperty("text", out var text) && text.ValueKind == JsonValueKind.String) return Join([], text.GetString()!);
        if (!row.TryGetProperty("prompt", out var prompt) || !row.TryGetProperty("completion", out var completion))
            throw new InvalidInputException("A row needs 'prompt' and 'completion', or 'messages', or 'text'.", "prompt", "missing");
        return (prompt.ValueKind, completion.ValueKind) switch
        {
            (JsonValueKind.String, JsonValueKind.String) => Join(tokenizer.Encode(prompt.GetString()!), completion.GetString()!),
            (JsonValueKind.Array, JsonValueKind.Array) => Conversation(JsonSerializer.SerializeToElement(prompt.EnumerateArray().Concat(completion.EnumerateArray())), tools, prompt.GetArrayLength()),
            _ => throw new InvalidInputException("'prompt' and 'completion' must be both texts or both lists of messages.", "completion"),
        };
    }

    /// <summary>System.Text.Json says of half a surrogate pair only when a text is taken out.</summary>
    private static T Checked<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (InvalidOperationException problem)
        {
            throw new InvalidInputException($"A text is no valid Unicode: {problem.Message}");
        }
    }

    /// <summary>A chat for generation, as it was asked for: a new message, or the last one continued.</summary>
    /// <param name="arguments">An object with more variables for the template.</param>
    /// <exception cref="InvalidInputException">The messages are empty, or the template refuses them.</exception>
    public EncodedPrompt EncodeChat(JsonElement messages, bool continueFinalMessage, JsonElement? arguments = null) => Checked(() =>
        Encoded(Template.Render(messages, !continueFinalMessage, continueFinalMessage, null, arguments), continueFinalMessage ? messages.EnumerateArray().Last() : null));

    private EncodedExample Conversation(JsonElement messages, JsonElement? tools, int? promptLength = null)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0) throw new InvalidInputException("'messages' must be a list of at least one message.", "messages");
        var count = promptLength ?? messages.GetArrayLength() - 1;
        var whole = Render(messages, false, tools);
        var prompt = count == 0 ? "" : Render(JsonSerializer.SerializeToElement(messages.EnumerateArray().Take(count)), true, tools);
        if (whole.StartsWith(prompt, StringComparison.Ordinal)) return Join(tokenizer.Encode(prompt), whole[prompt.Length..]);
        // A template that opens the reasoning itself shows that of no message: what the model is to write is the message's own text.
        return Opened(prompt, null) is { Length: > 0 } opened && count == messages.GetArrayLength() - 1 && After(opened, messages[count]) is { } written
            ? Join(tokenizer.Encode(prompt), written)
            : throw new InvalidInputException("The chat template writes the prompt in another way where the completion follows; this row cannot be learned from.", "messages");
    }

    private EncodedExample Join(int[] prompt, string completion)
    {
        var target = tokenizer.Encode(completion);
        int[] tokens = endToken is { } end && (target.Length == 0 || !EndsWith(completion, target, end)) ? [.. prompt, .. target, end] : [.. prompt, .. target];
        var first = Math.Max(prompt.Length, 1); // the very first token has nothing to be predicted from
        return tokens.Length > first ? new EncodedExample(tokens, first) : throw new InvalidInputException("A row has no token to learn.", "completion");
    }

    /// <summary>A message's text after the tag that the prompt ends with; null where it does not begin with that.</summary>
    private static string? After(string opened, JsonElement message)
    {
        if (!message.TryGetProperty("content", out var content) || content.ValueKind != JsonValueKind.String || !content.GetString()!.StartsWith(ReasoningText.Think, StringComparison.Ordinal)) return null;
        var text = content.GetString()!;
        return text.StartsWith(opened, StringComparison.Ordinal) ? text[opened.Length..] : text[ReasoningText.Think.Length..];
    }

    /// <summary>Templates often end a turn with the end token and a line break.</summary>
    private static bool EndsWith(string completion, int[] target, int end) => target[^1] == end || (target.Length > 1 && target[^2] == end && completion.EndsWith('\n'));

    private string Render(JsonElement messages, bool generate, JsonElement? tools)
    {
        var continued = generate && Continued(messages) is not null;
        return Template.Render(messages, generate && !continued, continued, tools);
    }

    private ChatTemplate Template => template ?? throw new InvalidInputException("The model has no chat template: its prompts must be texts.", "prompt");

    /// <summary>The last message where it is the assistant's.</summary>
    private static JsonElement? Continued(JsonElement messages) =>
        messages.GetArrayLength() > 0 && messages[messages.GetArrayLength() - 1] is { ValueKind: JsonValueKind.Object } last
        && last.TryGetProperty("role", out var role) && role.ValueKind == JsonValueKind.String && role.GetString() == "assistant" ? last : null;
}
