using System.Text.Json;
using Gradus.Api.Operations;
using Gradus.Persistence;

namespace Gradus.Api.Models;

/// <summary>A model that lies on the server's disk.</summary>
/// <param name="Path">A folder in Hugging Face layout or a .gguf file, below one of the folders of the setting <c>Gradus:ModelRoots</c> (default: <c>imports</c> in the state folder); absolute, or relative to one of these. It is copied.</param>
/// <param name="Name">What to call it, 1 to 200 characters; default the folder's name.</param>
/// <param name="Base">Of a PEFT adapter: the id or alias of the model it is laid on; default the <c>base_model_name_or_path</c> of its adapter_config.json.</param>
internal sealed record ImportRequest(string Path, string? Name = null, string? Base = null);

/// <summary>What files to make of a model; the options of the stage export.</summary>
/// <param name="Format">huggingface (default), peft (an adapter by itself) or gguf.</param>
/// <param name="Dtype">Of huggingface and peft: float32, float16 or bfloat16; default as stored. Of gguf: f32, f16 (default), bf16, q8_0 or q4_0.</param>
/// <param name="MaxShardSize">The most bytes of one safetensors file, as a number or like <c>"5GB"</c>; default 5GB.</param>
/// <param name="Merge">Whether an adapter becomes part of its base's weights; default true, in peft false.</param>
internal sealed record ExportRequest(string? Format = null, string? Dtype = null, JsonElement? MaxShardSize = null, bool? Merge = null);

/// <summary>A model that can be trained further or talked to.</summary>
/// <param name="Object">Always <c>model</c>.</param>
/// <param name="Created">Unix seconds, as <c>created_at</c>; the name OpenAI's clients read.</param>
/// <param name="OwnedBy">Always <c>gradus</c>.</param>
/// <param name="Alias">The recipe's name where this is the newest result of that recipe, or its own where it is the newest import of that name: usable like the id; else null.</param>
/// <param name="Origin"><c>built_in</c>, <c>import</c> or <c>stage</c>.</param>
/// <param name="Family">llama, qwen2, ...; null where it is not known, as in each of the following.</param>
/// <param name="Parameters">Number of weights.</param>
/// <param name="ContextLength">Prompt and answer together, in tokens.</param>
/// <param name="Dtype">How the weights are stored: <c>float32</c>, <c>float16</c>, <c>bfloat16</c> or <c>mixed</c>. They are trained as fp32.</param>
/// <param name="Bytes">On the disk.</param>
/// <param name="ChatTemplate">The file that holds the chat template; null where there is none, and the model cannot chat.</param>
/// <param name="License">As its card or licence file names it; of a stage's result what its parents' say, when one model is looked at.</param>
/// <param name="Parent">The model it was made of.</param>
/// <param name="JobId">The job that made it; null for built-in and imported ones.</param>
/// <param name="Lineage">Where it comes from, this model first; only where one model is looked at, else null.</param>
/// <param name="Details">All that is kept of it: its config, where an import came from, ...</param>
internal sealed record ModelContract(
    string Id, string Object, long Created, string OwnedBy, string Name, string? Alias, string Origin, string? Family, long? Parameters, int? ContextLength, string? Dtype, long? Bytes,
    string? ChatTemplate, string? License, string? Parent, string? JobId, IReadOnlyList<LineageContract>? Lineage, JsonElement Details, bool BuiltIn, long CreatedAt)
{
    public static ModelContract Of(Model model, IReadOnlyDictionary<string, string> aliases, IReadOnlyList<Ancestor>? lineage = null)
    {
        var known = model.Details;
        return new(
            model.Id, "model", Wire.Seconds(model.CreatedAt), "gradus", model.Name, aliases.GetValueOrDefault(model.Id), model.BuiltIn ? "built_in" : model.JobId is null ? "import" : "stage",
            Text(known, "family"), Number(known, "parameters"), (int?)Number(known, "context_length"), Text(known, "dtype"), Number(known, "bytes"), Text(known, "chat_template"),
            Text(known, "license") ?? lineage?.Select(one => Text(one.Details, "license")).FirstOrDefault(license => license is not null), Text(known, "parent"), model.JobId,
            lineage?.Select(LineageContract.Of).ToList(), known, model.BuiltIn, Wire.Seconds(model.CreatedAt));
    }

    private static string? Text(JsonElement details, string name) => details.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static long? Number(JsonElement details, string name) => details.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number) ? number : null;
}

/// <summary>One step of where a model comes from.</summary>
/// <param name="JobId">The job that made it; null for built-in and imported ones, and so are the fields after it.</param>
/// <param name="Recipe">The recipe's name; null for a job by itself.</param>
/// <param name="Seed">What every draw of the job derived from.</param>
/// <param name="Options">The stage's options as they were sent.</param>
/// <param name="Result">The job's closing figures.</param>
internal sealed record LineageContract(string Model, string Name, string? JobId, string? Stage, string? RunId, string? Recipe, long? Seed, JsonElement? Options, JsonElement? Result)
{
    public static LineageContract Of(Ancestor one) => new(one.ModelId, one.Name, one.JobId, one.Stage, one.RunId, one.Recipe, one.Seed, one.Options, one.Result);
}
