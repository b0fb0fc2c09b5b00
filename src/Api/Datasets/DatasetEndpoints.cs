using Gradus.Api.Jobs;
using Gradus.Api.Models;
using Gradus.Api.Operations;
using Gradus.Persistence;
using Gradus.Training;

namespace Gradus.Api.Datasets;

/// <summary>/v1/datasets.</summary>
internal static class DatasetEndpoints
{
    private const string Example = """
        {"name": "my sums", "rows": [{"prompt": "What is 47 + 8 - 5 + 9?", "answer": "59", "language": "en"}, {"prompt": "What is 12 + 3 + 4 - 2?", "answer": "17", "language": "en"}]}
        """;

    private const string FileExample = "{\"prompt\": \"What is 47 + 8 - 5 + 9?\", \"answer\": \"59\"}\n{\"prompt\": \"What is 12 + 3 + 4 - 2?\", \"answer\": \"17\"}\n";

    private static readonly TextQuery name = new("name", 200, "What to call it, for a JSONL body (`my sums`). In JSON and in a form it is a field.");

    public static void MapDatasets(this WebApplication app)
    {
        app.MapPost("/v1/datasets", CreateAsync)
            .Describe("Datasets", "Upload a dataset", "As JSON, as a JSONL body (application/jsonl, ?name=...) or as a form with `name`, `map` where needed, then `file`. Rows: {\"prompt\",\"answer\"} for grpo; "
                + "{\"messages\":[...]}, {\"prompt\",\"completion\"} or {\"text\"} for sft and pretrain. "
                + "Rows of another form: `map` is a row as it should be, with {\"field\":\"NAME\"} (and `before`, `after`, `without`) where a field's text belongs and {\"join\":[...]} for several in one; the bytes are kept as they came. Every line is checked; when any is wrong, nothing is stored and `error.lines` lists the first ones.")
            .WithQuery(name).Takes<DatasetRequest>(Example).TakesFile(DatasetUpload.Jsonl, FileExample).TakesFile(DatasetUpload.Multipart, FileExample).Returns<DatasetContract>(201);
        app.MapGet("/v1/datasets", ListAsync).Describe("Datasets", "List datasets", "Newest first.").WithQuery(Paging.Limit, Paging.After).Returns<ListContract<DatasetContract>>(200);
        app.MapGet("/v1/datasets/{id}", async (string id, DatasetStore datasets, CancellationToken cancel) => DatasetContract.Of(await datasets.RequireAsync(id, cancel)))
            .Describe("Datasets", "Look at a dataset", "Its name and size.").WithDatasetId().Returns<DatasetContract>(200);
        app.MapGet("/v1/datasets/{id}/rows", RowsAsync)
            .Describe("Datasets", "Read a dataset's rows", "In their order.").WithDatasetId().WithQuery(Paging.Limit, Paging.After).Returns<ListContract<DatasetRowContract>>(200);
        app.MapGet("/v1/datasets/{id}/content", ContentAsync)
            .Describe("Datasets", "Download an upload", "The bytes as they came; 404 where the dataset was not uploaded as a file.").WithPath("id", "The dataset's id.", "").Returns<string>(200, DatasetUpload.Jsonl);
        app.MapDelete("/v1/datasets/{id}", DeleteAsync)
            .Describe("Datasets", "Delete a dataset", "409 for built-in ones and while a job that has not ended needs it.").WithPath("id", "The dataset's id.", "").Returns<DeletedContract>(200);
    }

    private static RouteHandlerBuilder WithDatasetId(this RouteHandlerBuilder route) => route.WithPath("id", "The dataset's id, or an upload's name: the newest of that name.", "running-sums-held-out");

    private static async Task<Dataset> RequireAsync(this DatasetStore datasets, string id, CancellationToken cancel) => await datasets.FindAsync(id, cancel) ?? throw ApiException.NotFound("dataset", id);

    private static async Task<IResult> CreateAsync(HttpContext context, DatasetUpload upload)
    {
        var made = DatasetContract.Of(await upload.TakeAsync(context, name.Read(context)));
        return Results.Created($"/v1/datasets/{made.Id}", made);
    }

    private static async Task<ListContract<DatasetContract>> ListAsync(HttpContext context, DatasetStore datasets, CancellationToken cancel)
    {
        var limit = Paging.Limit.Read(context);
        return ListContract<DatasetContract>.Of(await datasets.ListAsync(new PageRequest(limit, Paging.After.Read(context)), cancel), limit, DatasetContract.Of, dataset => dataset.Id);
    }

    private static async Task<ListContract<DatasetRowContract>> RowsAsync(string id, HttpContext context, DatasetStore datasets, CancellationToken cancel)
    {
        var (limit, text) = (Paging.Limit.Read(context), Paging.After.Read(context));
        var after = text is null ? -1 : int.TryParse(text, out var index) ? index : throw new UnknownCursorException(text);
        var dataset = await datasets.RequireAsync(id, cancel);
        return ListContract<DatasetRowContract>.Of(await datasets.RowsAsync(dataset.Id, after, limit, cancel), limit, DatasetRowContract.Of, row => $"{row.Index}");
    }

    private static async Task ContentAsync(string id, HttpContext context, DatasetStore datasets, CancellationToken cancel)
    {
        var dataset = await datasets.RequireAsync(id, cancel);
        if (dataset.ByteCount is null) throw ApiException.NotFound("upload of the dataset", id);
        context.Response.ContentType = DatasetUpload.Jsonl;
        context.Response.ContentLength = dataset.ByteCount;
        await datasets.CopyOriginalAsync(dataset.Id, context.Response.Body, cancel);
    }

    private static async Task<DeletedContract> DeleteAsync(string id, DatasetStore datasets, CancellationToken cancel)
    {
        (await datasets.DeleteAsync(id, cancel)).Require("dataset", id);
        return new DeletedContract(id, "dataset");
    }
}
