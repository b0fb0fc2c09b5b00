using System.Text.Json;
using System.Text.Json.Nodes;

namespace Gradus.Training.Text;

/// <summary>
/// A model's chat template (Jinja), rendered as transformers' apply_chat_template renders it. Templates come from outside and are not trusted:
/// <see cref="JinjaEngine"/> bounds them, and what goes wrong in one is an <see cref="InvalidInputException"/>. Any number of threads may use one; they
/// take turns.
/// </summary>
public sealed class ChatTemplate
{
    private const string Tag = "CONTINUE_FINAL_MESSAGE_TAG ";
    private const int DeepestValue = 48;

    private readonly JinjaEngine engine;
    private readonly JinjaEngine? toolEngine;
    private readonly IReadOnlyDictionary<string, string> specialTokens;

    /// <param name="source">The template, at most 256 K characters.</param>
    /// <param name="specialTokens">Variables like <c>bos_token</c> with their texts.</param>
    /// <param name="toolSource">The template for chats with tools, where there is a separate one.</param>
    /// <param name="time">For <c>strftime_now</c>; the system's by default.</param>
    public ChatTemplate(string source, IReadOnlyDictionary<string, string> specialTokens, string? toolSource = null, TimeProvider? time = null)
    {
        this.specialTokens = specialTokens;
        engine = new JinjaEngine(source, time ?? TimeProvider.System);
        toolEngine = toolSource is null ? null : new JinjaEngine(toolSource, time ?? TimeProvider.System);
    }

    /// <summary>The template of a model's folder: chat_template.jinja, else the field of tokenizer_config.json or chat_template.json; null where there is none.</summary>
    /// <exception cref="InvalidInputException">A file does not parse.</exception>
    public static ChatTemplate? Load(string folder, TimeProvider? time = null) => ChatTemplateFiles.Read(folder) is { } files
        ? new ChatTemplate(files.Source, files.SpecialTokens, files.ToolSource, time)
        : null;

    /// <summary>The name of the file of a model's folder that <see cref="Load"/> takes the template from; null where there is none.</summary>
    /// <exception cref="InvalidInputException">A file does not parse.</exception>
    public static string? FileOf(string folder) => ChatTemplateFiles.Read(folder)?.FileName;

    /// <summary>The prompt of a chat.</summary>
    /// <param name="messages">A list of objects with a string <c>role</c>; everything else is the template's matter.</param>
    /// <param name="addGenerationPrompt">End with what makes the model answer; not looked at when the final message is continued.</param>
    /// <param name="continueFinalMessage">End within the final message, so that the model goes on with it.</param>
    /// <param name="tools">A list of tool definitions.</param>
    /// <param name="arguments">An object with more variables for the template, <c>{"enable_thinking":false}</c>.</param>
    /// <exception cref="InvalidInputException">The messages have not that form, the template refuses them, or it does not end within its bounds.</exception>
    public string Render(JsonElement messages, bool addGenerationPrompt = true, bool continueFinalMessage = false, JsonElement? tools = null, JsonElement? arguments = null)
    {
        try
        {
            return RenderChecked(messages, addGenerationPrompt, continueFinalMessage, tools, arguments);
        }
        catch (InvalidOperationException problem)
        {
            // What System.Text.Json says of half a surrogate pair, when a text is taken out.
            throw new InvalidInputException($"A text of the chat is no valid Unicode: {problem.Message}", "messages");
        }
    }

    private string RenderChecked(JsonElement messages, bool addGenerationPrompt, bool continueFinalMessage, JsonElement? tools, JsonElement? arguments)
    {
        CheckMessages(messages);
        var chat = continueFinalMessage ? Tagged(messages) : messages;
        var variables = new List<KeyValuePair<string, JsonElement>>();
        foreach (var (name, text) in specialTokens) variables.Add(new(name, JsonSerializer.SerializeToElement(text)));
        if (arguments is { ValueKind: JsonValueKind.Object } extra) variables.AddRange(extra.EnumerateObject().Select(field => new KeyValuePair<string, JsonElement>(field.Name, field.Value)));
        variables.Add(new("messages", chat));
        var hasTools = tools is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() > 0;
        variables.Add(new("tools", hasTools ? tools!.Value : JsonSerializer.SerializeToElement<object?>(null)));
        variables.Add(new("documents", JsonSerializer.SerializeToElement<object?>(null)));
        variables.Add(new("add_generation_prompt", JsonSerializer.SerializeToElement(addGenerationPrompt && !continueFinalMessage)));
        var rendered = (hasTools ? toolEngine ?? engine : engine).Render(JinjaValues.Write(variables, DeepestValue));
        return continueFinalMessage ? CutAtTag(rendered) : rendered;
    }

    private static void CheckMessages(JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0)
            throw new InvalidInputException("'messages' must be a list of at least one message.", "messages");
        var index = 0;
        foreach (var message in messages.EnumerateArray())
        {
            if (message.ValueKind != JsonValueKind.Object || !message.TryGetProperty("role", out var role) || role.ValueKind != JsonValueKind.String)
                throw new InvalidInputException($"'messages[{index}]' must be an object with a string 'role'.", $"messages[{index}].role", "missing");
            index++;
        }
    }

    /// <summary>As transformers: the final message gets a tag, and the rendered text ends before it.</summary>
    private static JsonElement Tagged(JsonElement messages)
    {
        var chat = JsonNode.Parse(messages.GetRawText(), null, new JsonDocumentOptions { MaxDepth = DeepestValue })!.AsArray();
        var final = chat[^1]!.AsObject();
        if (final["content"] is JsonValue content && content.TryGetValue(out string? text)) final["content"] = text + Tag;
        else if (final["content"] is JsonArray parts && parts.LastOrDefault(part => part is JsonObject block && block["text"] is JsonValue) is JsonObject last) last["text"] = $"{last["text"]}{Tag}";
        else throw new InvalidInputException("The final message to continue must have a text 'content'.", $"messages[{chat.Count - 1}].content");
        return JsonSerializer.SerializeToElement(chat);
    }

    private static string CutAtTag(string rendered)
    {
        var at = rendered.LastIndexOf(Tag.TrimEnd(), StringComparison.Ordinal);
        if (at < 0) throw new InvalidInputException("The final message cannot be continued: the chat template does not show it.", "continue_final_message");
        // A template that trims messages has taken the tag's space: then the message's own trailing space was to go, too.
        return rendered.AsSpan(at).StartsWith(Tag) ? rendered[..at] : rendered[..at].TrimEnd();
    }
}
