using System.Text.Json;
using Gradus.Api.Jobs;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;
using Npgsql;

namespace Gradus.Api.Models;

/// <summary>/v1/models.</summary>
internal static class ModelEndpoints
{
    private const string Json = "application/json";

    private static readonly TextQuery name = new("name", 200, "What to call an upload. Beside a path, and in a form, it is a field.");

    private static readonly TextQuery parent = new("base", 200, "Of an adapter: the model it is laid on, where its adapter_config.json names another. Beside a path, and in a form, it is a field.");

    private static readonly TextQuery sha256 = new("sha256", 64, "The upload's SHA-256 in hexadecimal; another one is refused. In a form it is a field.");

    private const string ExportExample = """{"format": "huggingface", "dtype": "bfloat16", "max_shard_size": "5GB"}""";

    private const string Example = """{"path": "SmolLM2-135M-Instruct", "name": "SmolLM2"}""";

    public static void MapModels(this WebApplication app)
    {
        app.MapPost("/v1/models", ImportAsync)
            .Describe("Models", "Import a model", "Of a folder of the server (JSON with `path`, below a folder that the setting Gradus:ModelRoots allows), or uploaded: a plain tar of the files or one .gguf, as the body (?name=...&sha256=...) or as a "
                + "form with `name`, `base` and `sha256`, then `file`. Files in Hugging Face layout: config.json, safetensors (one file, or shards with their index), tokenizer.json, tokenizer_config.json or chat_template.jinja, generation_config.json; or a PEFT adapter, whose base must be here (`base`, or its own base_model_name_or_path). "
                + "The answer comes when the model has been loaded once (minutes for a large one: give your client the time); whatever goes wrong, or a client that goes away, leaves nothing, and the import starts again. 422 where it cannot be loaded.")
            .WithQuery(name, parent, sha256).Takes<ImportRequest>(Example).TakesBytes(ModelUpload.Tar).TakesBytes(ModelUpload.Bytes).TakesBytes(ModelUpload.Multipart, "name", "base", "sha256").Returns<ModelContract>(201);
        app.MapGet("/v1/models", ListAsync).Describe("Models", "List models", "Newest first.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<ModelContract>>(200);
        app.MapGet("/v1/models/{id}", FindAsync)
            .Describe("Models", "Look at a model", "By id, or by alias: the name of a recipe stands for the newest result of that recipe, the name of an imported model for the newest of that name. With all it was made of, in `lineage`.").WithPath("id", "The model's id or alias.", "tiny").Returns<ModelContract>(200);
        app.MapPost("/v1/models/{id}/export", ExportAsync)
            .Describe("Models", "Export a model", "Queues a job of the stage export, whose files are then at /v1/jobs/{id}/files: a Hugging Face folder in shards of a size, a PEFT adapter, or one GGUF file for llama.cpp and Ollama.")
            .WithPath("id", "The model's id or alias.", "tiny").Takes<ExportRequest>(ExportExample).Returns<JobContract>(201);
        app.MapDelete("/v1/models/{id}", DeleteAsync)
            .Describe("Models", "Delete a model", "With its folder. 409 for built-in ones, and while a job that has not ended or an adapter needs it.").WithPath("id", "The model's id.", "").Returns<DeletedContract>(200);
    }

    private static async Task<ListContract<ModelContract>> ListAsync(HttpContext context, ModelCatalog models, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        var rows = await models.ListAsync(new PageRequest(limit, Paging.After.Read(context)), cancel);
        var aliases = await models.AliasesAsync(cancel);
        return ListContract<ModelContract>.Of(rows, limit, model => ModelContract.Of(model, aliases), model => model.Id);
    }

    private static async Task<ModelContract> FindAsync(string id, ModelCatalog models, NpgsqlDataSource database, CancellationToken cancel)
    {
        var model = await models.FindAsync(id, cancel) ?? throw ApiException.NotFound("model", id);
        return ModelContract.Of(model, await models.AliasesAsync(cancel), await Lineage.ReadAsync(database, model.Id, cancel));
    }

    private static async Task<IResult> ImportAsync(HttpContext context, ModelImport import, ModelUpload upload, ModelCatalog models, NpgsqlDataSource database)
    {
        var wanted = new UploadFields(name.Read(context), sha256.Read(context), parent.Read(context));
        var isPath = JsonBody.RequireType(context.Request, Json, ModelUpload.Tar, ModelUpload.Bytes, ModelUpload.Multipart) == Json;
        if (isPath && wanted != new UploadFields(null, null, null)) throw new InvalidInputException("Beside a path these fields stand in the body, not in the query.", wanted.Name is not null ? "name" : wanted.Base is not null ? "base" : "sha256");
        var model = isPath ? await import.FolderAsync(await JsonBody.ReadAsync<ImportRequest>(context), context.RequestAborted) : await upload.TakeAsync(context, wanted);
        return Results.Created($"/v1/models/{model.Id}", await FindAsync(model.Id, models, database, context.RequestAborted));
    }

    private static async Task<IResult> ExportAsync(string id, HttpContext context, ModelCatalog models, Submission submission, CancellationToken cancel)
    {
        var sent = await JsonBody.ReadAsync<ExportRequest>(context);
        var model = await models.FindAsync(id, cancel) ?? throw ApiException.NotFound("model", id);
        var options = JsonSerializer.SerializeToNode(sent, Wire.Options)!.AsObject();
        foreach (var left in options.Where(field => field.Value is null).Select(field => field.Key).ToArray()) options.Remove(left);
        options["model"] = model.Id;
        var made = await submission.JobAsync(new JobRequest("export", JsonSerializer.SerializeToElement(options), Name: $"export of {model.Name}"[..Math.Min(200, model.Name.Length + 10)]), cancel);
        var job = JobContract.Of(made.Jobs[0]);
        return Results.Created($"/v1/jobs/{job.Id}", job);
    }

    private static async Task<DeletedContract> DeleteAsync(string id, ModelCatalog models, StateFolders folders, CancellationToken cancel)
    {
        var deletion = await models.DeleteAsync(id, cancel);
        deletion.Require("model", id);
        // If we stop here the folder stays behind; nothing refers to it.
        folders.Delete(deletion.Folder!);
        return new DeletedContract(id, "model");
    }

    /// <exception cref="ApiException">404 or 409, with the reason.</exception>
    public static void Require(this Deletion deletion, string what, string id)
    {
        if (!deletion.Found) throw ApiException.NotFound(what, id);
        if (deletion.BuiltIn) throw ApiException.Conflict($"The {what} '{id}' is built in and stays.", "built_in");
        if (deletion.UsedBy is { } job) throw ApiException.Conflict($"The {what} '{id}' is needed by the job {job}, which has not ended.", "in_use");
        if (deletion.BaseOf is { } adapter) throw ApiException.Conflict($"The {what} '{id}' is the base of the adapter {adapter}; delete that one first.", "in_use");
    }
}
